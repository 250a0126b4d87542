import { FormatError, type Reader, type Writer } from '#lib/bytes'

/** A 64-bit varint takes ten bytes at most: nine of 7 bits and one of 1. */
const MAX_VARINT = 10

/** Reads a base-128 varint as an unsigned 64-bit integer. Ten bytes with more than 64 bits are refused. */
export function readVarint(r: Reader, field: string): bigint {
  const at = r.offset
  let low = 0
  // Four bytes of 7 bits fit a small integer: the usual case needs no bigint arithmetic.
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = r.u8(field)
    low |= (byte & 0x7f) << shift
    if (byte < 0x80) return BigInt(low)
  }
  let value = BigInt(low)
  for (let index = 4; index < MAX_VARINT; index++) {
    const byte = r.u8(field)
    value |= BigInt(byte & 0x7f) << BigInt(7 * index)
    if (byte < 0x80) {
      if (value >= 1n << 64n) break
      return value
    }
  }
  throw new FormatError('FORMAT_INVALID', field, at, 'is a varint of more than 64 bits')
}

/** Writes an unsigned 64-bit integer as a base-128 varint in its shortest form. */
export function writeVarint(w: Writer, value: bigint): void {
  if (value < 0n || value >= 1n << 64n) throw new RangeError('varint out of range')
  let rest = value
  while (rest >= 0x80n) {
    w.u8(Number(rest & 0x7fn) | 0x80)
    rest >>= 7n
  }
  w.u8(Number(rest))
}
