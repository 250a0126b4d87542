import { createCipheriv, createHash, createHmac, randomBytes } from 'node:crypto'
import { chunked } from '../chunks.ts'
import { LAYER_CIPHER_NAME, type PrivateOptions, type PublicOptions } from '../options.ts'

/** Options of `encryptLayer`. */
export interface EncryptLayerOptions {
  /** Source of key and nonce; default the system's. Only vectors pass another. */
  readonly random?: (size: number) => Uint8Array
}

/** What is known once a layer was encrypted to its end. */
export interface EncryptedLayer {
  readonly publicOptions: PublicOptions
  /** Secret: goes to the recipients only, wrapped. */
  readonly privateOptions: Required<PrivateOptions>
  /** Digest and size of the ciphertext, for the descriptor. */
  readonly digest: string
  readonly size: number
}

/** A layer on its way: first drain `ciphertext`, then take `result()`. */
export interface LayerEncryption {
  readonly ciphertext: AsyncIterable<Uint8Array>
  /** Throws TypeError before `ciphertext` was read to its end. */
  result(): EncryptedLayer
}

/**
 * Encrypts the compressed bytes of one layer with AES_256_CTR_HMAC_SHA256 (docs/formats/ocicrypt.md)
 * under a fresh key and nonce, as a stream; memory does not grow with the layer.
 */
export function encryptLayer(
  source: AsyncIterable<Uint8Array>,
  options: EncryptLayerOptions = {},
): LayerEncryption {
  const random = options.random ?? randomBytes
  const symkey = new Uint8Array(random(32))
  const nonce = new Uint8Array(random(16))
  let result: EncryptedLayer | undefined
  async function* encrypt(): AsyncGenerator<Uint8Array> {
    const cipher = createCipheriv('aes-256-ctr', symkey, nonce)
    const mac = createHmac('sha256', symkey)
    const before = createHash('sha256')
    const after = createHash('sha256')
    let size = 0
    for await (const chunk of chunked(source)) {
      before.update(chunk)
      const encrypted = cipher.update(chunk)
      mac.update(encrypted)
      after.update(encrypted)
      size += encrypted.length
      yield encrypted
    }
    result = {
      publicOptions: { cipher: LAYER_CIPHER_NAME, hmac: new Uint8Array(mac.digest()) },
      privateOptions: { symkey, digest: `sha256:${before.digest('hex')}`, nonce },
      digest: `sha256:${after.digest('hex')}`,
      size,
    }
  }
  let started = false
  return {
    ciphertext: {
      // Once only: a second pass over other bytes would reuse key and nonce.
      [Symbol.asyncIterator]: () => {
        if (started) throw new TypeError('the ciphertext of a layer can be read once')
        started = true
        return encrypt()
      },
    },
    result: () => {
      if (result === undefined) throw new TypeError('the ciphertext was not read to its end')
      return result
    },
  }
}
