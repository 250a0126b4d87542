import { FormatError, Reader, Writer } from '#lib/bytes'
import { type Codec, type Field, readDelimited } from './field.ts'
import { readVarint } from './varint.ts'

/** Nesting of messages inside messages. */
const MAX_DEPTH = 16
/** Field numbers end at 2^29 - 1 (protobuf encoding, "Tags"). */
const MAX_FIELD_NUMBER = (1n << 29n) - 1n

/** The fields of `T`, one for each member. */
export type Fields<T> = { readonly [K in keyof T]-?: Field<T[K]> }

/**
 * The codec of a message type, from a table of its fields. Fields are written in the table's order.
 * Unknown fields are skipped; groups, field number 0, a wire type that contradicts the table and
 * nesting above 16 are refused (FormatError).
 */
export function message<T extends object>(name: string, fields: Fields<T>): Codec<T> {
  const names = Object.keys(fields) as (keyof T & string)[]
  const byNumber = new Map<number, keyof T & string>(
    names.map((key) => [fields[key].number, key] as const),
  )
  if (byNumber.size !== names.length) throw new TypeError(`${name} uses a field number twice`)
  return {
    name,
    encode(value) {
      const w = new Writer()
      for (const key of names) fields[key].write(w, value[key])
      return w.finish()
    },
    decode(bytes, depth = 0) {
      const r = new Reader(bytes)
      if (depth > MAX_DEPTH) {
        throw new FormatError('FORMAT_LIMIT', name, 0, `is nested more than ${MAX_DEPTH} deep`)
      }
      const out = {} as T
      for (const key of names) out[key] = fields[key].initial()
      while (r.remaining > 0) readField(r, name, fields, byNumber, out, depth)
      return out
    },
  }
}

function readField<T extends object>(
  r: Reader,
  name: string,
  fields: Fields<T>,
  byNumber: ReadonlyMap<number, keyof T & string>,
  out: T,
  depth: number,
): void {
  const at = r.offset
  const tag = readVarint(r, `${name} tag`)
  const wire = Number(tag & 7n)
  const number = tag >> 3n
  if (number === 0n || number > MAX_FIELD_NUMBER) {
    throw new FormatError('FORMAT_INVALID', `${name} tag`, at, `field number ${number}`)
  }
  const key = byNumber.get(Number(number))
  if (key === undefined) {
    skip(r, wire, name, at)
    return
  }
  const field = fields[key]
  const label = `${name}.${key}`
  if (wire === field.wire) {
    out[key] = field.read(r, out[key], label, depth)
  } else if (wire === 2 && field.packed) {
    const packed = new Reader(readDelimited(r, label))
    while (packed.remaining > 0) out[key] = field.read(packed, out[key], label, depth)
  } else {
    throw new FormatError('FORMAT_INVALID', label, at, `has wire type ${wire}, not ${field.wire}`)
  }
}

function skip(r: Reader, wire: number, name: string, at: number): void {
  const label = `${name} unknown field`
  if (wire === 0) readVarint(r, label)
  else if (wire === 1) r.bytes(8, label)
  else if (wire === 2) readDelimited(r, label)
  else if (wire === 5) r.bytes(4, label)
  else throw new FormatError('FORMAT_INVALID', label, at, `has wire type ${wire}`)
}

/** A message without fields, such as `google.protobuf.Empty`. */
export type Empty = Readonly<Record<never, never>>

/** Codec of `Empty`; whatever the peer puts into it is skipped. */
export const empty: Codec<Empty> = message<Empty>('google.protobuf.Empty', {})
