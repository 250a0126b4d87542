import { FormatError, fromUtf8, Reader, utf8, Writer } from '#lib/bytes'
import { readVarint, writeVarint } from './varint.ts'

/** The two wire types we write: 0 varint, 2 length-delimited. 1 and 5 are only skipped. */
export type WireType = 0 | 2

/** Encodes and decodes one message type. */
export interface Codec<T> {
  /** Full protobuf name, for error texts. */
  readonly name: string
  encode(value: T): Uint8Array<ArrayBuffer>
  /** Byte fields of the result are views of `bytes`. `depth` counts nesting and is set by ourselves. */
  decode(bytes: Uint8Array, depth?: number): T
}

/** One field of a message: its number, what an absent field means, and how its values are written. */
export interface Field<V> {
  readonly number: number
  readonly wire: WireType
  /** A repeated numeric field may also arrive packed, as wire type 2. */
  readonly packed: boolean
  /** The value of a message in which the field does not occur. */
  initial(): V
  /** Reads one occurrence on top of what was read before: the last one wins, repeated ones append. */
  read(r: Reader, before: V, name: string, depth: number): V
  /** Writes tag and value; proto3 leaves default values out. */
  write(w: Writer, value: V): void
}

/** Elements of one repeated field; a frame of empty elements would otherwise amplify to gigabytes. */
const MAX_ELEMENTS = 65_536
const MAX_LENGTH = 64 * 1024 * 1024

/** Reads a varint length and takes that many bytes. */
export function readDelimited(r: Reader, field: string): Uint8Array {
  const at = r.offset
  const length = readVarint(r, `${field} length`)
  if (length > BigInt(MAX_LENGTH)) {
    throw new FormatError('FORMAT_LIMIT', field, at, `is ${length}, the limit is ${MAX_LENGTH}`)
  }
  return r.bytes(Number(length), field)
}

function writeTag(w: Writer, number: number, wire: WireType): void {
  writeVarint(w, (BigInt(number) << 3n) | BigInt(wire))
}

function writeDelimited(w: Writer, number: number, bytes: Uint8Array): void {
  writeTag(w, number, 2)
  writeVarint(w, BigInt(bytes.length))
  w.bytes(bytes)
}

function scalar<V>(
  number: number,
  zero: V,
  read: (wire: bigint) => V,
  write: (value: V) => bigint,
): Field<V> {
  return {
    number,
    wire: 0,
    packed: false,
    initial: () => zero,
    read: (r, _before, name) => read(readVarint(r, name)),
    write(w, value) {
      if (value === zero) return
      writeTag(w, number, 0)
      writeVarint(w, write(value))
    },
  }
}

/** `bool`. */
export function bool(number: number): Field<boolean> {
  return scalar(
    number,
    false,
    (wire) => wire !== 0n,
    (value) => (value ? 1n : 0n),
  )
}

/** `int32` and enums: negative values take ten bytes on the wire. */
export function int32(number: number): Field<number> {
  return scalar(
    number,
    0,
    (wire) => Number(BigInt.asIntN(32, wire)),
    (value) => BigInt.asUintN(64, BigInt(value)),
  )
}

/** `uint32`. */
export function uint32(number: number): Field<number> {
  return scalar(
    number,
    0,
    (wire) => Number(BigInt.asUintN(32, wire)),
    (value) => BigInt(value),
  )
}

/** `int64`, as bigint. */
export function int64(number: number): Field<bigint> {
  return scalar(
    number,
    0n,
    (wire) => BigInt.asIntN(64, wire),
    (value) => BigInt.asUintN(64, value),
  )
}

/** `uint64`, as bigint. */
export function uint64(number: number): Field<bigint> {
  return scalar(
    number,
    0n,
    (wire) => wire,
    (value) => value,
  )
}

/** `string`; bytes that are not UTF-8 are refused. */
export function string(number: number): Field<string> {
  return {
    number,
    wire: 2,
    packed: false,
    initial: () => '',
    read: (r, _before, name) => fromUtf8(readDelimited(r, name), name),
    write(w, value) {
      if (value !== '') writeDelimited(w, number, utf8(value))
    },
  }
}

/** `bytes`; what is read is a view of the message. */
export function bytes(number: number): Field<Uint8Array> {
  return {
    number,
    wire: 2,
    packed: false,
    initial: () => new Uint8Array(0),
    read: (r, _before, name) => readDelimited(r, name),
    write(w, value) {
      if (value.length !== 0) writeDelimited(w, number, value)
    },
  }
}

/** An embedded message, undefined when absent. A second occurrence replaces the first. */
export function embedded<T>(number: number, codec: Codec<T>): Field<T | undefined> {
  return {
    number,
    wire: 2,
    packed: false,
    initial: () => undefined,
    read: (r, _before, name, depth) => codec.decode(readDelimited(r, name), depth + 1),
    write(w, value) {
      if (value !== undefined) writeDelimited(w, number, codec.encode(value))
    },
  }
}

/** A repeated field of scalars, strings or bytes, at most 65,536 elements. Numbers are read packed or not, and written packed. */
export function repeated<V>(element: Field<V>): Field<readonly V[]> {
  const { number, wire } = element
  return {
    number,
    wire,
    packed: wire === 0,
    initial: () => [],
    read: (r, before, name, depth) =>
      append(before, element.read(r, element.initial(), name, depth), name, r),
    write(w, values) {
      if (values.length === 0) return
      if (wire === 0) return writeDelimited(w, number, packedBody(element, values))
      for (const value of values) writePresent(w, element, value)
    },
  }
}

/** A repeated field of messages, at most 65,536 elements. */
export function repeatedMessage<T>(number: number, codec: Codec<T>): Field<readonly T[]> {
  return {
    number,
    wire: 2,
    packed: false,
    initial: () => [],
    read: (r, before, name, depth) =>
      append(before, codec.decode(readDelimited(r, name), depth + 1), name, r),
    write(w, values) {
      for (const value of values) writeDelimited(w, number, codec.encode(value))
    },
  }
}

function append<V>(before: readonly V[], value: V, name: string, r: Reader): readonly V[] {
  if (before.length >= MAX_ELEMENTS) {
    const found = `has more than ${MAX_ELEMENTS} elements`
    throw new FormatError('FORMAT_LIMIT', name, r.offset, found)
  }
  // The array is ours alone until the message is complete: pushing keeps decoding linear.
  ;(before as V[]).push(value)
  return before
}

function writePresent<V>(w: Writer, element: Field<V>, value: V): void {
  const before = w.length
  element.write(w, value)
  // A default value inside a list must still appear, though a lone field leaves it out.
  if (w.length === before) writeDelimited(w, element.number, new Uint8Array(0))
}

function packedBody<V>(element: Field<V>, values: readonly V[]): Uint8Array {
  const body = new Writer()
  for (const value of values) {
    const one = new Writer()
    element.write(one, value)
    const encoded = one.finish()
    if (encoded.length === 0) {
      body.u8(0)
      continue
    }
    const r = new Reader(encoded)
    readVarint(r, 'tag')
    body.bytes(r.bytes(r.remaining, 'value'))
  }
  return body.finish()
}
