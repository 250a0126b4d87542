import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto'

/** Bytes of a spool block. */
export const SPOOL_BLOCK = 65_536

/**
 * GMAC tags of spool blocks, under a key that only this object knows. Each index is tagged
 * once: the nonce is the index.
 */
export class SpoolTags {
  readonly #key: KeyObject = createSecretKey(randomBytes(32))
  readonly #tags: Uint8Array[] = []

  /** Tags the next block. */
  add(block: Uint8Array): void {
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce(this.#tags.length))
    cipher.setAAD(block)
    cipher.final()
    this.#tags.push(cipher.getAuthTag())
  }

  /** True if `block` is what was tagged at `index`. */
  matches(index: number, block: Uint8Array): boolean {
    const tag = this.#tags[index]
    if (tag === undefined) return false
    const decipher = createDecipheriv('aes-256-gcm', this.#key, nonce(index), { authTagLength: 16 })
    decipher.setAAD(block)
    decipher.setAuthTag(tag)
    try {
      decipher.final()
      return true
    } catch {
      return false
    }
  }
}

function nonce(index: number): Uint8Array {
  const bytes = new Uint8Array(12)
  new DataView(bytes.buffer).setBigUint64(4, BigInt(index))
  return bytes
}
