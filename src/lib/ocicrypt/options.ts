import { fromBase64, fromUtf8 } from '#lib/bytes'
import { base64, object, optional, parseJson, string } from '#lib/json'
import { type Annotations, PUBLIC_OPTIONS_ANNOTATION } from './annotations.ts'
import { OcicryptError } from './ocicrypt-error.ts'

/** The one cipher of ocicrypt (docs/formats/ocicrypt.md). */
export const LAYER_CIPHER_NAME = 'AES_256_CTR_HMAC_SHA256'

/** Options that stand in the manifest in the clear (docs/formats/ocicrypt.md). */
export interface PublicOptions {
  readonly cipher: string
  /** HMAC-SHA-256 of the ciphertext, 32 bytes. */
  readonly hmac: Uint8Array
  /** Only there if a writer put it in public; ours does not. 16 bytes. */
  readonly nonce?: Uint8Array
}

/** Options that are wrapped for the recipients (docs/formats/ocicrypt.md). Secret. */
export interface PrivateOptions {
  /** Key of cipher and MAC, 32 bytes. */
  readonly symkey: Uint8Array
  /** Digest of the blob before encryption. */
  readonly digest?: string
  /** Initial counter block, 16 bytes. */
  readonly nonce?: Uint8Array
}

const MAX_OPTIONS = 64 * 1024
const DIGEST = /^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$/

/**
 * Parses public options JSON. Any order and unknown members are accepted, as other writers
 * differ. Throws `LAYER_OPTIONS_INVALID`, `LAYER_CIPHER_UNSUPPORTED`.
 */
export function parsePublicOptions(json: Uint8Array): PublicOptions {
  const options = typed('public options', () => {
    const root = object(parseJson(json, { maxBytes: MAX_OPTIONS, maxDepth: 4 }), 'pubopts')
    const nonce = cipherNonce(root.cipheroptions)
    return {
      cipher: string(root.cipher, 'cipher', { max: 128 }),
      hmac: base64(root.hmac, 'hmac'),
      ...(nonce === undefined ? {} : { nonce }),
    }
  })
  if (options.cipher !== LAYER_CIPHER_NAME) {
    const shown = /^[\w-]+$/.test(options.cipher) ? options.cipher : 'another name'
    throw new OcicryptError(
      'LAYER_CIPHER_UNSUPPORTED',
      `reading the public options of a layer: the cipher is ${shown}, only ${LAYER_CIPHER_NAME} is known`,
    )
  }
  return options
}

/** The public options of a layer's annotations. Throws `LAYER_OPTIONS_INVALID` if there are none. */
export function publicOptionsOf(annotations: Annotations): PublicOptions {
  const text = Object.hasOwn(annotations, PUBLIC_OPTIONS_ANNOTATION)
    ? annotations[PUBLIC_OPTIONS_ANNOTATION]
    : undefined
  if (text === undefined) {
    throw new OcicryptError(
      'LAYER_OPTIONS_INVALID',
      `reading the public options of a layer: it has no annotation ${PUBLIC_OPTIONS_ANNOTATION}`,
    )
  }
  return parsePublicOptions(typed('public options', () => fromBase64(text, 'pubopts')))
}

/** Parses private options JSON strictly; no message quotes a value. Throws `LAYER_OPTIONS_INVALID`. */
export function parsePrivateOptions(json: Uint8Array): PrivateOptions {
  return typed('private options', () => {
    const text = fromUtf8(json, 'private options')
    const root = object(parseJson(text, { maxBytes: MAX_OPTIONS, maxDepth: 4 }), 'private options')
    const nonce = cipherNonce(root.cipheroptions)
    // Go writes "" where it knows no digest; that is the same as none.
    const digest = optional(root.digest, (value) => string(value, 'digest', { max: 160 }))
    if (digest !== undefined && digest !== '' && !DIGEST.test(digest)) {
      throw new OcicryptError('LAYER_OPTIONS_INVALID', 'reading private options: bad digest')
    }
    return {
      symkey: base64(root.symkey, 'symkey', 32),
      ...(digest ? { digest } : {}),
      ...(nonce === undefined ? {} : { nonce }),
    }
  })
}

function cipherNonce(value: unknown): Uint8Array | undefined {
  // Go's map marshals as null when it is nil.
  if (value === undefined || value === null) return undefined
  return optional(object(value, 'cipheroptions').nonce, (nonce) => base64(nonce, 'nonce'))
}

function typed<T>(what: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof OcicryptError) throw cause
    const found = cause instanceof Error ? cause.message : 'unreadable'
    throw new OcicryptError('LAYER_OPTIONS_INVALID', `reading the ${what} of a layer: ${found}`, {
      cause,
    })
  }
}
