import { randomBytes, scryptSync } from 'node:crypto'
import nacl from 'tweetnacl'
import { concat, fromBase64, fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { base64, integer, type JsonObject, object, parseJson, string } from '#lib/json'
import { SigningError } from '../signing-error.ts'

const LABEL = 'ENCRYPTED SIGSTORE PRIVATE KEY'
const BLOCK =
  /^\s*-----BEGIN (ENCRYPTED (?:SIGSTORE|COSIGN) PRIVATE KEY)-----\s([A-Za-z0-9+/=\s]+)-----END \1-----\s*$/
// The parameters that cosign has ever written: a file must not choose how long we compute.
const KNOWN_N = [32768, 65536, 131072]
const SCRYPT = { N: 65536, r: 8, p: 1 }
const MAX_FILE = 64 * 1024

/** Options of `sealKeyFile`. */
export interface KeyFileOptions {
  /** Source of salt and nonce; default the system's. Only vectors pass another. */
  readonly random?: (size: number) => Uint8Array
}

/** True for a text in cosign's encrypted private key format. */
export function isKeyFile(file: Uint8Array): boolean {
  return file.length <= MAX_FILE && BLOCK.test(text(file))
}

/**
 * Writes a private key (PKCS#8 DER) in cosign's format: scrypt makes a key from the passphrase,
 * NaCl secretbox seals (docs/formats/signature.md).
 */
export function sealKeyFile(
  pkcs8: Uint8Array,
  passphrase: string,
  options: KeyFileOptions = {},
): Uint8Array {
  const random = options.random ?? randomBytes
  const salt = new Uint8Array(random(32))
  const nonce = new Uint8Array(random(24))
  const key = derive(passphrase, salt, SCRYPT.N)
  const document = {
    kdf: { name: 'scrypt', params: SCRYPT, salt: toBase64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: toBase64(nonce) },
    ciphertext: toBase64(nacl.secretbox(new Uint8Array(pkcs8), nonce, key)),
  }
  key.fill(0)
  const body = toBase64(utf8(JSON.stringify(document))).replace(/.{64}(?=.)/g, '$&\n')
  return concat(utf8(`-----BEGIN ${LABEL}-----\n${body}\n-----END ${LABEL}-----\n`))
}

/**
 * Opens a private key in cosign's format and returns its PKCS#8 DER. An empty passphrase is legal.
 * Throws `KEY_INVALID` for another format or other scrypt parameters, `KEY_PASSPHRASE`.
 */
export function openKeyFile(file: Uint8Array, passphrase: string): Uint8Array {
  const { salt, nonce, ciphertext, n } = parseKeyFile(file)
  const key = derive(passphrase, salt, n)
  const opened = nacl.secretbox.open(ciphertext, nonce, key)
  key.fill(0)
  if (opened === null) {
    throw new SigningError('KEY_PASSPHRASE', 'opening a signing key: the passphrase is wrong')
  }
  return opened
}

interface KeyFile {
  readonly salt: Uint8Array
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
  readonly n: number
}

function parseKeyFile(file: Uint8Array): KeyFile {
  if (file.length > MAX_FILE) throw invalid('it is too large')
  const [, , body] = BLOCK.exec(text(file)) ?? []
  if (body === undefined) throw invalid(`it is not one PEM block ${LABEL}`)
  try {
    const json = parseJson(fromBase64(body.replace(/\s/g, ''), 'PEM body'), { maxDepth: 4 })
    const root = object(json, 'key')
    const kdf = named(root.kdf, 'kdf', 'scrypt')
    const params = object(kdf.params, 'kdf.params')
    const n = integer(params.N, 'kdf.params.N')
    if (!KNOWN_N.includes(n)) throw invalid(`scrypt N is ${n}, known are ${KNOWN_N.join(', ')}`)
    integer(params.r, 'kdf.params.r', SCRYPT.r, SCRYPT.r)
    integer(params.p, 'kdf.params.p', SCRYPT.p, SCRYPT.p)
    const cipher = named(root.cipher, 'cipher', 'nacl/secretbox')
    return {
      salt: base64(kdf.salt, 'kdf.salt', 32),
      nonce: base64(cipher.nonce, 'cipher.nonce', 24),
      ciphertext: base64(root.ciphertext, 'ciphertext'),
      n,
    }
  } catch (cause) {
    if (cause instanceof SigningError) throw cause
    throw invalid(cause instanceof Error ? cause.message : 'unreadable', cause)
  }
}

function named(value: unknown, member: string, name: string): JsonObject {
  const found = object(value, member)
  if (string(found.name, `${member}.name`) !== name) throw invalid(`${member} is not ${name}`)
  return found
}

function derive(passphrase: string, salt: Uint8Array, n: number): Uint8Array {
  const { r, p } = SCRYPT
  // scrypt needs 128 * N * r bytes; the limit leaves room for OpenSSL's own.
  return new Uint8Array(scryptSync(passphrase, salt, 32, { N: n, r, p, maxmem: 160 * n * r }))
}

function text(file: Uint8Array): string {
  try {
    return fromUtf8(file, 'key')
  } catch {
    return ''
  }
}

function invalid(found: string, cause?: unknown): SigningError {
  return new SigningError('KEY_INVALID', `reading a signing key: ${found}`, { cause })
}
