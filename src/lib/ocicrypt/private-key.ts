import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto'
import { fromUtf8, toHex } from '#lib/bytes'
import { object, parseJson } from '#lib/json'
import { OcicryptError } from './ocicrypt-error.ts'

/** A private key that opens JWE-wrapped keys. */
export interface DecryptionKey {
  /** SHA-256 of the public half's SPKI, hexadecimal. */
  readonly id: string
  readonly kind: 'RSA' | 'EC'
  readonly key: KeyObject
}

const CURVES: readonly (string | undefined)[] = ['prime256v1', 'secp384r1', 'secp521r1']
const MIN_RSA = 2048
const MAX_KEY_FILE = 64 * 1024

/**
 * Parses a private key: PEM or DER of PKCS#8, PKCS#1 or SEC1, or a private JWK; RSA from 2048
 * bits, EC P-256, P-384, P-521. Encrypted PEM needs `passphrase`. Throws `KEY_INVALID`,
 * `KEY_PASSPHRASE`, `KEY_TYPE_UNSUPPORTED`; no message quotes the file.
 */
export function parseDecryptionKey(file: Uint8Array, passphrase?: string): DecryptionKey {
  if (file.length > MAX_KEY_FILE) throw invalid('it is too large')
  const key = readKey(file, passphrase)
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  const id = toHex(createHash('sha256').update(spki).digest())
  return { id, kind: usableKind(key), key }
}

/** `RSA` or `EC` of a key that JWE wrapping can use. Throws `KEY_TYPE_UNSUPPORTED`. */
export function usableKind(key: KeyObject): 'RSA' | 'EC' {
  const { namedCurve, modulusLength = 0 } = key.asymmetricKeyDetails ?? {}
  if (key.asymmetricKeyType === 'ec' && CURVES.includes(namedCurve)) return 'EC'
  if (key.asymmetricKeyType === 'rsa' && modulusLength >= MIN_RSA) return 'RSA'
  throw new OcicryptError(
    'KEY_TYPE_UNSUPPORTED',
    'reading an encryption key: RSA from 2048 bits and EC P-256, P-384, P-521 are accepted',
  )
}

/** The binary body of the first PEM block of a text, whatever its label; undefined if none. */
export function pemBody(text: string): Uint8Array | undefined {
  const body = /-----BEGIN [A-Z0-9 ]+-----([A-Za-z0-9+/=\s]+)-----END /.exec(text)?.[1]
  return body === undefined ? undefined : new Uint8Array(Buffer.from(body, 'base64'))
}

function readKey(file: Uint8Array, passphrase: string | undefined): KeyObject {
  const text = textOf(file)
  if (text === undefined) return fromDer(file)
  if (text.trimStart().startsWith('{')) return fromJwk(text)
  if (/ENCRYPTED/.test(text)) return fromEncryptedPem(text, passphrase)
  const body = pemBody(text)
  if (body === undefined) throw invalid('it is neither PEM, DER nor JWK')
  return fromDer(body)
}

function fromDer(der: Uint8Array): KeyObject {
  const key = Buffer.from(der)
  // The label of a PEM file is not looked at, as in ocicrypt: the body decides.
  for (const type of ['pkcs8', 'pkcs1', 'sec1'] as const) {
    try {
      return createPrivateKey({ key, format: 'der', type })
    } catch {
      // Another form may fit.
    }
  }
  throw invalid('it holds no private key in PKCS#8, PKCS#1 or SEC1')
}

function fromJwk(text: string): KeyObject {
  try {
    const jwk = object(parseJson(text, { maxDepth: 4 }), 'JWK')
    if (typeof jwk.d !== 'string') throw invalid('the JWK is a public key')
    return createPrivateKey({ key: jwk, format: 'jwk' })
  } catch (cause) {
    if (cause instanceof OcicryptError) throw cause
    throw invalid('the JWK is malformed')
  }
}

function fromEncryptedPem(text: string, passphrase: string | undefined): KeyObject {
  if (passphrase === undefined) {
    throw new OcicryptError('KEY_PASSPHRASE', 'reading a private key: it needs a passphrase')
  }
  try {
    return createPrivateKey({ key: text, format: 'pem', passphrase })
  } catch {
    throw new OcicryptError('KEY_PASSPHRASE', 'reading a private key: the passphrase is wrong')
  }
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
  return new OcicryptError('KEY_INVALID', `reading a private key: ${found}`)
}
