import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import { fromUtf8, toHex } from '#lib/bytes'
import { object, optional, parseJson, string } from '#lib/json'
import { OcicryptError } from '../ocicrypt-error.ts'
import { pemBody, usableKind } from '../private-key.ts'

/** A public key for which layer keys are wrapped. */
export interface EncryptionKey {
  /** SHA-256 of the SPKI, hexadecimal. */
  readonly id: string
  readonly key: KeyObject
  readonly alg: string
  /** Key id of a JWK, written into the JWE header as Go does. */
  readonly kid?: string
}

const RSA_ALGORITHMS = ['RSA-OAEP', 'RSA-OAEP-256']
const EC_ALGORITHMS = ['ECDH-ES+A128KW', 'ECDH-ES+A192KW', 'ECDH-ES+A256KW']

/**
 * Parses a recipient's public key: SPKI or PKCS#1 as PEM or DER, or a public JWK whose `alg` may
 * choose among the five key algorithms (default RSA-OAEP and ECDH-ES+A256KW, docs/formats/ocicrypt.md)
 *. Private keys and certificates are refused: a private key here is a mistake that would
 * otherwise pass unnoticed. Throws `KEY_INVALID`, `KEY_TYPE_UNSUPPORTED`.
 */
export function parseEncryptionKey(file: Uint8Array): EncryptionKey {
  if (file.length > 64 * 1024) throw invalid('it is too large')
  const text = textOf(file)
  if (text?.trimStart().startsWith('{')) return fromJwk(text)
  if (text !== undefined && /PRIVATE KEY/.test(text)) throw invalid('it is a private key')
  const body = text === undefined ? file : pemBody(text)
  if (body === undefined) throw invalid('it is neither PEM, DER nor JWK')
  return made(fromDer(body), undefined, undefined)
}

function fromJwk(text: string): EncryptionKey {
  try {
    const jwk = object(parseJson(text, { maxDepth: 4 }), 'JWK')
    if (Object.hasOwn(jwk, 'd')) throw invalid('the JWK is a private key')
    const alg = optional(jwk.alg, (value) => string(value, 'alg', { max: 64 }))
    const kid = optional(jwk.kid, (value) => string(value, 'kid', { max: 1024 }))
    return made(createPublicKey({ key: jwk, format: 'jwk' }), alg, kid)
  } catch (cause) {
    if (cause instanceof OcicryptError) throw cause
    throw invalid('the JWK is malformed')
  }
}

function fromDer(der: Uint8Array): KeyObject {
  const key = Buffer.from(der)
  for (const type of ['spki', 'pkcs1'] as const) {
    try {
      return createPublicKey({ key, format: 'der', type })
    } catch {
      // The other form may fit.
    }
  }
  throw invalid('it holds no public key in SPKI or PKCS#1')
}

function made(key: KeyObject, asked: string | undefined, kid: string | undefined): EncryptionKey {
  const kind = usableKind(key)
  const known = kind === 'RSA' ? RSA_ALGORITHMS : EC_ALGORITHMS
  const alg = asked ?? (kind === 'RSA' ? 'RSA-OAEP' : 'ECDH-ES+A256KW')
  if (!known.includes(alg)) throw invalid(`its alg is none of ${known.join(', ')}`)
  const spki = key.export({ format: 'der', type: 'spki' })
  const id = toHex(createHash('sha256').update(spki).digest())
  return { id, key, alg, ...(kid === undefined ? {} : { kid }) }
}

function textOf(file: Uint8Array): string | undefined {
  try {
    const text = fromUtf8(file, 'key')
    return text.includes('\0') ? undefined : text
  } catch {
    return undefined
  }
}

function invalid(found: string): OcicryptError {
  return new OcicryptError('KEY_INVALID', `reading a public key: ${found}`)
}
