import { createPublicKey, type KeyObject } from 'node:crypto'
import { FormatError } from '#lib/bytes'
import { base64Url, object, oneOf, string } from '#lib/json'

/** An elliptic TEE key, members exactly these (KBS protocol 0.4.0). */
export interface EcTeeKey {
  readonly kty: 'EC'
  readonly crv: 'P-256' | 'P-521'
  readonly alg: 'ECDH-ES+A256KW'
  /** URL base64, 32 or 66 bytes. */
  readonly x: string
  readonly y: string
}

/** An RSA TEE key. RSA1_5 is not taken: its padding check is an oracle on the enclave's side. */
export interface RsaTeeKey {
  readonly kty: 'RSA'
  readonly alg: 'RSA-OAEP-256'
  readonly n: string
  readonly e: string
}

/** The enclave's ephemeral public key, to which resources are encrypted. */
export type TeeKey = EcTeeKey | RsaTeeKey

const WIDTH = { 'P-256': 32, 'P-521': 66 } as const

/**
 * Parses the JWK of an enclave. Members beyond the known ones are refused: peers that parse and
 * write the key again would drop them, and then hash something else into the report data.
 * Throws FormatError. That the point lies on its curve is checked by `teePublicKey`.
 */
export function parseTeeKey(value: unknown): TeeKey {
  const kty = oneOf(object(value, 'tee-pubkey').kty, 'tee-pubkey.kty', ['EC', 'RSA'])
  if (kty === 'EC') {
    const jwk = object(value, 'tee-pubkey', ['kty', 'crv', 'alg', 'x', 'y'])
    const crv = oneOf(jwk.crv, 'tee-pubkey.crv', ['P-256', 'P-521'])
    const alg = oneOf(jwk.alg, 'tee-pubkey.alg', ['ECDH-ES+A256KW'])
    base64Url(jwk.x, 'tee-pubkey.x', WIDTH[crv])
    base64Url(jwk.y, 'tee-pubkey.y', WIDTH[crv])
    return { kty, crv, alg, x: jwk.x as string, y: jwk.y as string }
  }
  const jwk = object(value, 'tee-pubkey', ['kty', 'alg', 'n', 'e'])
  const alg = oneOf(jwk.alg, 'tee-pubkey.alg', ['RSA-OAEP-256'])
  const n = base64Url(jwk.n, 'tee-pubkey.n')
  const e = base64Url(jwk.e, 'tee-pubkey.e')
  if (n.length < 256 || n.length > 1024 || n[0] === 0 || e.length > 4 || e[0] === 0) {
    throw new FormatError('FORMAT_INVALID', 'tee-pubkey', 0, 'is not RSA of 2048 to 8192 bits')
  }
  // With the exponent 1 everybody on the way would read what is encrypted to the key.
  const last = e.at(-1) ?? 0
  if (last % 2 === 0 || (e.length === 1 && last === 1)) {
    throw new FormatError('FORMAT_INVALID', 'tee-pubkey.e', 0, 'is no exponent of RSA')
  }
  return { kty, alg, n: string(jwk.n, 'n'), e: string(jwk.e, 'e') }
}

/** The key for node:crypto. Throws FormatError if the point is not on its curve. */
export function teePublicKey(key: TeeKey): KeyObject {
  try {
    return createPublicKey({ format: 'jwk', key: { ...key } })
  } catch (cause) {
    const error = new FormatError('FORMAT_INVALID', 'tee-pubkey', 0, 'is not a key of its curve')
    throw Object.assign(error, { cause })
  }
}
