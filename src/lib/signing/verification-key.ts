import { createHash, createPublicKey, type KeyObject, verify } from 'node:crypto'
import { fromUtf8, toHex } from '#lib/bytes'
import { SigningError } from './signing-error.ts'

/** A public key that a policy trusts. */
export interface VerificationKey {
  /** SHA-256 of the SPKI, 64 hexadecimal digits. */
  readonly id: string
  readonly key: KeyObject
  readonly algorithm: SignatureAlgorithm
}

/** How signatures of one kind of key are checked (docs/formats/signature.md). */
export interface SignatureAlgorithm {
  readonly name: 'ecdsa-p256' | 'ecdsa-p384' | 'ecdsa-p521' | 'rsa' | 'ed25519'
  /** Hashes tried in order; empty where the algorithm hashes by itself. */
  readonly hashes: readonly string[]
  /** Length of a raw r‖s signature, which cosign's verifiers take beside DER. */
  readonly rawLength?: number
}

// containers/image signs with SHA-256 under every key, cosign with the hash of the curve.
const P256: SignatureAlgorithm = { name: 'ecdsa-p256', hashes: ['sha256'], rawLength: 64 }
const P384: SignatureAlgorithm = {
  name: 'ecdsa-p384',
  hashes: ['sha384', 'sha256'],
  rawLength: 96,
}
const P521: SignatureAlgorithm = {
  name: 'ecdsa-p521',
  hashes: ['sha512', 'sha256'],
  rawLength: 132,
}
const RSA: SignatureAlgorithm = { name: 'rsa', hashes: ['sha256'] }
const ED25519: SignatureAlgorithm = { name: 'ed25519', hashes: [] }

const MIN_RSA = 2048
const MAX_RSA = 8192
const MAX_KEY = 64 * 1024
const BLOCK =
  /^\s*-----BEGIN (PUBLIC KEY|RSA PUBLIC KEY)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----\s*$/

/**
 * Parses one public key, PEM `PUBLIC KEY` or `RSA PUBLIC KEY`; nothing may follow it. EC P-256,
 * P-384, P-521, RSA of 2048 to 8192 bits, Ed25519. Throws `KEY_INVALID`, `KEY_TYPE_UNSUPPORTED`.
 */
export function parseVerificationKey(pem: Uint8Array): VerificationKey {
  const text = pem.length > MAX_KEY ? '' : textOf(pem)
  const [, label, body] = BLOCK.exec(text) ?? []
  if (label === undefined || body === undefined) {
    throw invalid('it is not one PEM block PUBLIC KEY')
  }
  const type = label === 'PUBLIC KEY' ? 'spki' : 'pkcs1'
  let key: KeyObject
  try {
    key = createPublicKey({ key: Buffer.from(body, 'base64'), format: 'der', type })
  } catch {
    throw invalid('its content is not a public key')
  }
  return { id: keyId(key), key, algorithm: signatureAlgorithm(key) }
}

/** SHA-256 of the SPKI of a public key, hexadecimal. */
export function keyId(key: KeyObject): string {
  return toHex(
    createHash('sha256')
      .update(key.export({ format: 'der', type: 'spki' }))
      .digest(),
  )
}

/** The algorithm of a key, public or private. Throws `KEY_TYPE_UNSUPPORTED`. */
export function signatureAlgorithm(key: KeyObject): SignatureAlgorithm {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec') {
    if (namedCurve === 'prime256v1') return P256
    if (namedCurve === 'secp384r1') return P384
    if (namedCurve === 'secp521r1') return P521
  }
  if (key.asymmetricKeyType === 'ed25519') return ED25519
  const fits = modulusLength >= MIN_RSA && modulusLength <= MAX_RSA
  if (key.asymmetricKeyType === 'rsa' && fits) return RSA
  throw new SigningError(
    'KEY_TYPE_UNSUPPORTED',
    'reading a signature key: EC P-256, P-384, P-521, RSA from 2048 bits and Ed25519 are accepted',
  )
}

/** True if `signature` over exactly `payload` was made by the key. */
export function verifySignature(
  { key, algorithm }: VerificationKey,
  payload: Uint8Array,
  signature: Uint8Array,
): boolean {
  const check = (hash: string | null, dsaEncoding: 'der' | 'ieee-p1363'): boolean => {
    try {
      return verify(hash, payload, { key, dsaEncoding }, signature)
    } catch {
      // Malformed signatures throw with some keys; they are wrong signatures all the same.
      return false
    }
  }
  if (algorithm.hashes.length === 0) return check(null, 'der')
  return algorithm.hashes.some(
    (hash) =>
      check(hash, 'der') || (signature.length === algorithm.rawLength && check(hash, 'ieee-p1363')),
  )
}

function textOf(pem: Uint8Array): string {
  try {
    return fromUtf8(pem, 'key')
  } catch {
    return ''
  }
}

function invalid(found: string): SigningError {
  return new SigningError('KEY_INVALID', `reading a signature key: ${found}`)
}
