import { concat, utf8 } from '#lib/bytes'
import { encodeOid } from './oid.ts'
import { explicitTag, TAG } from './tag.ts'

/** One value: identifier, minimal definite length, content (the parts joined). */
export function der(tag: number, ...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const content = concat(...parts)
  return concat(new Uint8Array([tag, ...lengthOctets(content.length)]), content)
}

export function derSequence(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return der(TAG.SEQUENCE, ...parts)
}

/** A SET of the parts in the order given; DER's order for SET OF is the caller's duty. */
export function derSet(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  return der(TAG.SET, ...parts)
}

export function derExplicit(
  number: number,
  ...parts: readonly Uint8Array[]
): Uint8Array<ArrayBuffer> {
  return der(explicitTag(number), ...parts)
}

export function derOid(oid: string): Uint8Array<ArrayBuffer> {
  return der(TAG.OID, encodeOid(oid))
}

/** A non-negative INTEGER from a number or from big-endian octets. */
export function derInteger(value: number | Uint8Array): Uint8Array<ArrayBuffer> {
  return der(TAG.INTEGER, typeof value === 'number' ? numberOctets(value) : minimal(value))
}

export function derEnumerated(value: number): Uint8Array<ArrayBuffer> {
  return der(TAG.ENUMERATED, numberOctets(value))
}

export function derBoolean(value: boolean): Uint8Array<ArrayBuffer> {
  return der(TAG.BOOLEAN, new Uint8Array([value ? 0xff : 0]))
}

export function derOctets(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return der(TAG.OCTET_STRING, bytes)
}

/** A BIT STRING of whole octets. */
export function derBits(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return der(TAG.BIT_STRING, new Uint8Array(1), bytes)
}

export function derUtf8(text: string): Uint8Array<ArrayBuffer> {
  return der(TAG.UTF8_STRING, utf8(text))
}

/** UTCTime before 2050, GeneralizedTime from then on (RFC 5280); milliseconds since 1970. */
export function derTime(time: number): Uint8Array<ArrayBuffer> {
  const digits = new Date(time)
    .toISOString()
    .replace(/\.\d+Z$/, '')
    .replace(/[-:T]/g, '')
  const utc = digits >= '1950' && digits < '2050'
  return utc
    ? der(TAG.UTC_TIME, utf8(`${digits.slice(2)}Z`))
    : der(TAG.GENERALIZED_TIME, utf8(`${digits}Z`))
}

function numberOctets(value: number): Uint8Array {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`${value} is not encodable`)
  const hex = value.toString(16)
  return minimal(
    new Uint8Array(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex')),
  )
}

/** Two's complement without superfluous zeros, with one where the top bit is set. */
function minimal(octets: Uint8Array): Uint8Array {
  const start = octets.findIndex((octet) => octet !== 0)
  if (start < 0) return new Uint8Array(1)
  const magnitude = octets.subarray(start)
  return (magnitude[0] ?? 0) >= 0x80 ? concat(new Uint8Array(1), magnitude) : magnitude
}

function lengthOctets(length: number): number[] {
  if (length < 0x80) return [length]
  const octets: number[] = []
  for (let left = length; left > 0; left = Math.floor(left / 256)) octets.unshift(left % 256)
  return [0x80 | octets.length, ...octets]
}
