import { createPublicKey, type KeyObject, verify } from 'node:crypto'
import { concat, equalBytes, FormatError, fromHex, toHex } from '#lib/bytes'

/** SubjectPublicKeyInfo of an uncompressed P-256 point, up to the 64 bytes x‖y. */
const P256_PREFIX: Uint8Array = /* @__PURE__ */ fromHex(
  '3059301306072a8648ce3d020106082a8648ce3d03010703420004',
  'P-256 prefix',
)

/** Importing a key costs more than a verification; a verifier sees the same few keys. */
const MAX_CACHED_KEYS = 64
const keys = /* @__PURE__ */ new Map<string, KeyObject>()

/** x‖y of a P-256 SubjectPublicKeyInfo; FormatError for any other key or encoding. */
export function p256Point(spki: Uint8Array): Uint8Array {
  const prefix = spki.subarray(0, P256_PREFIX.length)
  if (spki.length !== P256_PREFIX.length + 64 || !equalBytes(prefix, P256_PREFIX)) {
    throw new FormatError('FORMAT_INVALID', 'public key', 0, 'is not an uncompressed P-256 key')
  }
  return spki.subarray(P256_PREFIX.length)
}

/** Imports x‖y (64 bytes). FormatError if the point is not on the curve. */
export function importP256(point: Uint8Array): KeyObject {
  if (point.length !== 64) throw new RangeError('a P-256 point has 64 bytes')
  const id = toHex(point)
  const cached = keys.get(id)
  if (cached !== undefined) {
    // Moves it to the end: the map then drops the key that was not used for longest.
    keys.delete(id)
    keys.set(id, cached)
    return cached
  }
  let key: KeyObject
  try {
    const spki = Buffer.from(concat(P256_PREFIX, point))
    key = createPublicKey({ key: spki, format: 'der', type: 'spki' })
  } catch (cause) {
    const error = new FormatError('FORMAT_INVALID', 'public key', 0, 'is not a point on P-256')
    throw Object.assign(error, { cause })
  }
  const [oldest] = keys.keys()
  if (keys.size >= MAX_CACHED_KEYS && oldest !== undefined) keys.delete(oldest)
  keys.set(id, key)
  return key
}

/** Checks a DER signature, as certificates and CRLs carry it, with ECDSA P-256 and SHA-256. */
export function verifyDerSignature(
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  return verify('sha256', message, key, signature)
}

/** Checks a raw signature r‖s (64 bytes) with ECDSA P-256 and SHA-256. */
export function verifyRawSignature(
  key: KeyObject,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  if (signature.length !== 64) return false
  return verify('sha256', message, { key, dsaEncoding: 'ieee-p1363' }, signature)
}
