import { type FlattenedJWE, flattenedDecrypt } from 'jose'
import { fromBase64Url, fromUtf8 } from '#lib/bytes'
import { array, type JsonObject, object, optional, parseJson, string } from '#lib/json'
import { JWE_SCHEME } from './annotations.ts'
import { OcicryptError } from './ocicrypt-error.ts'
import type { DecryptionKey } from './private-key.ts'
import type { Unwrapper } from './unwrap-layer.ts'

/** Key algorithms that are read, and the kind of key each one needs (docs/formats/ocicrypt.md). */
const KEY_ALGORITHMS: Readonly<Record<string, DecryptionKey['kind']>> = {
  'RSA-OAEP': 'RSA',
  'RSA-OAEP-256': 'RSA',
  'ECDH-ES+A128KW': 'EC',
  'ECDH-ES+A192KW': 'EC',
  'ECDH-ES+A256KW': 'EC',
}
const CONTENT_ALGORITHMS = [
  'A128CBC-HS256',
  'A192CBC-HS384',
  'A256CBC-HS512',
  'A128GCM',
  'A192GCM',
  'A256GCM',
]
const MAX_JWE = 64 * 1024
const MAX_RECIPIENTS = 100

/** One recipient of a JWE, as a flattened JWE of its own. */
export interface JweRecipient {
  readonly alg: string
  readonly kid?: string
  readonly jwe: FlattenedJWE
}

/**
 * Parses a JWE in flattened, general or compact form into its recipients. The presence of
 * `recipients` decides for general: skopeo adds a stray `encrypted_key` there against the RFC.
 * Refused with `JWE_UNSUPPORTED`: `zip` (a bomb), `crit`, and every algorithm outside the list,
 * so RSA1_5, PBES2 and none. Throws `JWE_INVALID` for what is malformed or over a limit.
 */
export function parseJwe(bytes: Uint8Array): JweRecipient[] {
  if (bytes.length > MAX_JWE) throw invalid(`it is over ${MAX_JWE} bytes`)
  const text = checked(() => fromUtf8(bytes, 'JWE')).trim()
  if (!text.startsWith('{')) return [recipient(compact(text), {})]
  return checked(() => {
    const root = object(parseJson(text, { maxBytes: MAX_JWE, maxDepth: 8 }), 'JWE')
    const shared = sharedParts(root)
    if (root.recipients === undefined) return [recipient(shared, root)]
    const recipients = array(root.recipients, 'recipients', MAX_RECIPIENTS)
    if (recipients.length === 0) throw invalid('it has no recipients')
    return recipients.map((each, i) => recipient(shared, object(each, `recipients[${i}]`)))
  })
}

/** Opens JWE-wrapped keys with private keys; each recipient is tried with each key that fits. */
export function jweUnwrapper(keys: readonly DecryptionKey[]): Unwrapper {
  return {
    scheme: JWE_SCHEME,
    unwrap: async (wrapped) => {
      const recipients = parseJwe(wrapped)
      for (const { alg, jwe } of recipients) {
        for (const { kind, key } of keys) {
          if (KEY_ALGORITHMS[alg] !== kind) continue
          try {
            const opened = await flattenedDecrypt(jwe, key, {
              keyManagementAlgorithms: [alg],
              contentEncryptionAlgorithms: CONTENT_ALGORITHMS,
            })
            return opened.plaintext
          } catch {
            // Every failure looks alike: which step failed would be an oracle.
          }
        }
      }
      throw new OcicryptError(
        'JWE_NOT_FOR_KEY',
        `opening a JWE: none of ${keys.length} private keys opens any of ${recipients.length} recipients`,
      )
    },
  }
}

type SharedParts = Omit<FlattenedJWE, 'encrypted_key' | 'header'>

function sharedParts(root: JsonObject): SharedParts {
  const protectedHeader = optional(root.protected, (value) => string(value, 'protected'))
  const unprotected = optional(root.unprotected, (value) => object(value, 'unprotected'))
  const aad = optional(root.aad, (value) => string(value, 'aad'))
  return {
    ciphertext: string(root.ciphertext, 'ciphertext'),
    iv: string(root.iv, 'iv'),
    tag: string(root.tag, 'tag'),
    ...(protectedHeader === undefined ? {} : { protected: protectedHeader }),
    ...(unprotected === undefined ? {} : { unprotected }),
    ...(aad === undefined ? {} : { aad }),
  }
}

function compact(text: string): FlattenedJWE {
  const parts = text.split('.')
  if (parts.length !== 5) throw invalid('it is neither JSON nor five parts')
  const [protectedHeader, encryptedKey, iv, ciphertext, tag] = parts as [
    string,
    string,
    string,
    string,
    string,
  ]
  return { protected: protectedHeader, encrypted_key: encryptedKey, iv, ciphertext, tag }
}

function recipient(shared: SharedParts | FlattenedJWE, own: JsonObject): JweRecipient {
  return checked(() => {
    const header = optional(own.header, (value) => object(value, 'header'))
    const key = optional(own.encrypted_key, (value) => string(value, 'encrypted_key'))
    const protectedHeader =
      shared.protected === undefined
        ? {}
        : object(parseJson(fromBase64Url(shared.protected, 'protected')), 'protected')
    const joined = { ...shared.unprotected, ...header, ...protectedHeader } as JsonObject
    for (const name of ['zip', 'crit']) {
      if (Object.hasOwn(joined, name)) throw unsupported(`header ${name}`)
    }
    const alg = string(joined.alg, 'alg', { max: 64 })
    if (!Object.hasOwn(KEY_ALGORITHMS, alg)) throw unsupported(`algorithm ${printable(alg)}`)
    const enc = string(joined.enc, 'enc', { max: 64 })
    if (!CONTENT_ALGORITHMS.includes(enc)) throw unsupported(`encryption ${printable(enc)}`)
    const kid = optional(joined.kid, (value) => string(value, 'kid', { max: 1024 }))
    return {
      alg,
      ...(kid === undefined ? {} : { kid }),
      jwe: {
        ...shared,
        ...(key === undefined ? {} : { encrypted_key: key }),
        ...(header === undefined ? {} : { header }),
      },
    }
  })
}

function checked<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof OcicryptError) throw cause
    throw invalid(cause instanceof Error ? cause.message : 'unreadable', cause)
  }
}

function printable(text: string): string {
  return /^[\w+.-]+$/.test(text) ? text : 'with an odd name'
}

function unsupported(what: string): OcicryptError {
  return new OcicryptError('JWE_UNSUPPORTED', `reading a JWE: ${what} is refused`)
}

function invalid(found: string, cause?: unknown): OcicryptError {
  return new OcicryptError('JWE_INVALID', `reading a JWE: ${found}`, { cause })
}
