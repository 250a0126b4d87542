import { FormatError } from '#lib/bytes'

const MAX_OID_BYTES = 64

/** Decodes the content octets of an OBJECT IDENTIFIER to dotted form. Refuses padded arcs. */
export function decodeOid(content: Uint8Array, field: string, offset = 0): string {
  if (content.length === 0 || content.length > MAX_OID_BYTES) {
    throw new FormatError('FORMAT_INVALID', field, offset, 'is not an object identifier')
  }
  const arcs: bigint[] = []
  let arc = 0n
  let fresh = true
  for (const byte of content) {
    if (fresh && byte === 0x80) {
      throw new FormatError('FORMAT_INVALID', field, offset, 'has an arc with leading zeros')
    }
    arc = (arc << 7n) | BigInt(byte & 0x7f)
    fresh = byte < 0x80
    if (fresh) {
      arcs.push(arc)
      arc = 0n
    }
  }
  if (!fresh) throw new FormatError('FORMAT_TRUNCATED', field, offset, 'ends inside an arc')
  // X.690 8.19.4: the first two arcs share one number.
  const [first = 0n, ...rest] = arcs
  const root = first < 80n ? first / 40n : 2n
  return [root, first - 40n * root, ...rest].join('.')
}

/** Encodes dotted form to content octets. RangeError for what is no object identifier. */
export function encodeOid(oid: string): Uint8Array<ArrayBuffer> {
  if (!/^[0-2](\.(0|[1-9][0-9]*))+$/.test(oid)) throw new RangeError(`${oid} is no OID`)
  const [root = 0n, second = 0n, ...rest] = oid.split('.').map(BigInt)
  if (root < 2n && second > 39n) throw new RangeError(`${oid} is no OID`)
  return new Uint8Array([40n * root + second, ...rest].flatMap(base128))
}

function base128(arc: bigint): number[] {
  const out = [Number(arc & 0x7fn)]
  for (let left = arc >> 7n; left > 0n; left >>= 7n) out.unshift(Number(left & 0x7fn) | 0x80)
  return out
}
