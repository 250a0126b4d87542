import { createDecipheriv } from 'node:crypto'
import type { ChunkOpener } from './chunk-opener.ts'
import { checkLengths, NONCE_LENGTH, TAG_LENGTH, writeNonce } from './chunk-opener.ts'

/** The opener over `node:crypto`: slower, since every call allocates its result. */
export function createReferenceOpener(key: Uint8Array, fileId: Uint8Array): ChunkOpener {
  checkLengths(key, fileId)
  const nonce = new Uint8Array(NONCE_LENGTH)
  return {
    open(index, chunk, tag) {
      writeNonce(nonce, index)
      const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_LENGTH })
      decipher.setAAD(fileId)
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
    [Symbol.dispose]() {
      // KeyObjects and contexts are freed by the garbage collector; nothing of ours holds the key.
    },
  }
}
