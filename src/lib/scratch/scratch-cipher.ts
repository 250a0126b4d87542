import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto'

/** Bytes of a tag, of a nonce and of a key. */
export const TAG = 16
/** Bytes of a nonce. */
export const NONCE = 12
/** Bytes of a scratch key. */
export const SCRATCH_KEY = 32

/**
 * Seals and opens chunks of one scratch, where they lie. `createScratchCipher` is the reference; a faster
 * one (the same OpenSSL called in place) must agree with it byte for byte.
 */
export interface ScratchCipher {
  /** Encrypts chunk `index` under a nonce that was never used before and writes its tag. */
  seal(index: number, chunk: Uint8Array, nonce: Uint8Array, tag: Uint8Array): void
  /** Decrypts chunk `index`; false if the tag does not fit, and `chunk` then holds no plaintext. */
  open(index: number, chunk: Uint8Array, nonce: Uint8Array, tag: Uint8Array): boolean
  /** Forgets the key. */
  close(): void
}

/** Makes a ScratchCipher from a key of 32 bytes. */
export type ScratchCipherFactory = (key: Uint8Array) => ScratchCipher

/** The associated data of a chunk: `u64(index)`. */
export function chunkAad(index: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
  const aad = new Uint8Array(8)
  new DataView(aad.buffer).setBigUint64(0, BigInt(index))
  return aad
}

/** The reference, over `node:crypto`. */
export function createScratchCipher(key: Uint8Array): ScratchCipher {
  if (key.length !== SCRATCH_KEY) throw new RangeError('a scratch key has 32 bytes')
  let secret: KeyObject | undefined = createSecretKey(key)
  const live = (): KeyObject => {
    if (secret === undefined) throw new TypeError('the scratch cipher is closed')
    return secret
  }
  return {
    seal(index, chunk, nonce, tag) {
      const cipher = createCipheriv('aes-256-gcm', live(), nonce, { authTagLength: TAG })
      cipher.setAAD(chunkAad(index))
      chunk.set(cipher.update(chunk))
      cipher.final()
      tag.set(cipher.getAuthTag())
    },
    open(index, chunk, nonce, tag) {
      const decipher = createDecipheriv('aes-256-gcm', live(), nonce, { authTagLength: TAG })
      decipher.setAAD(chunkAad(index))
      decipher.setAuthTag(tag)
      const plain = decipher.update(chunk)
      try {
        decipher.final()
        chunk.set(plain)
        return true
      } catch {
        chunk.fill(0)
        return false
      } finally {
        plain.fill(0)
      }
    },
    close() {
      secret = undefined
    },
  }
}
