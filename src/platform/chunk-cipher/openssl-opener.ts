import { copyOf } from '#lib/bytes'
import { type ChunkOpener, TAG_LENGTH } from '#lib/sealed'
import { SET_TAG, ssl } from './openssl.ts'

const NONCE_LENGTH = 12
const KEY_LENGTH = 32
const FILE_ID_LENGTH = 16

/**
 * A chunk opener that decrypts in place with one context for all chunks of a file: a third to a
 * seventh of the time of `createChunkOpener`, its reference (docs/rootfs.md). Use it from the thread
 * that made it, and close it: the context holds the key schedule, which OpenSSL wipes when it is
 * freed. A chunk whose tag does not fit is zeroed, since in place means that it was decrypted.
 */
export function createOpensslOpener(key: Uint8Array, fileId: Uint8Array): ChunkOpener {
  // OpenSSL reads as many bytes as the algorithm says, whatever the array holds.
  if (key.length !== KEY_LENGTH) throw new RangeError('the key of a sealed layer has 32 bytes')
  if (fileId.length !== FILE_ID_LENGTH) throw new RangeError('a file id has 16 bytes')
  const aad = copyOf(fileId)
  const nonce = new Uint8Array(NONCE_LENGTH) // its first four bytes stay zero
  const counter = new DataView(nonce.buffer)
  const length = new Uint8Array(4)
  const last = new Uint8Array(TAG_LENGTH)
  let context = ssl.EVP_CIPHER_CTX_new()
  if (context === 0n) throw new Error('OpenSSL has no memory for a cipher context')
  // Safe: the cipher is a static object; the key has 32 bytes (checked) and is copied by the call.
  if (ssl.EVP_DecryptInit_ex(context, ssl.EVP_aes_256_gcm(), null, key, null) !== 1) {
    ssl.EVP_CIPHER_CTX_free(context)
    throw new Error('OpenSSL refused the key of a sealed layer')
  }
  return {
    openInPlace(index, chunk, tag) {
      if (context === 0n) throw new TypeError('the chunk opener is closed')
      if (tag.length !== TAG_LENGTH) throw new RangeError('a tag has 16 bytes')
      if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
      // Without a bigint: it would be the only thing to allocate.
      counter.setUint32(4, Math.floor(index / 2 ** 32))
      counter.setUint32(8, index % 2 ** 32)
      // Safe: `context` is live (checked above); the nonce has 12 bytes, GCM's default length.
      const ok =
        ssl.EVP_DecryptInit_ex(context, null, null, null, nonce) === 1 &&
        // Safe: associated data has 16 bytes and no output pointer.
        ssl.EVP_DecryptUpdate(context, null, length, aad, aad.length) === 1 &&
        // Safe: input and output are the same bytes, which GCM (a stream) allows; as many go out as in.
        ssl.EVP_DecryptUpdate(context, chunk, length, chunk, chunk.length) === 1 &&
        // Safe: the tag has 16 bytes (checked) and is copied.
        ssl.EVP_CIPHER_CTX_ctrl(context, SET_TAG, TAG_LENGTH, tag) === 1 &&
        // Safe: GCM writes no final block; `last` has room for one all the same.
        ssl.EVP_DecryptFinal_ex(context, last, length) === 1
      if (!ok) chunk.fill(0)
      return ok
    },
    close() {
      // Safe: freed once, the address is forgotten at the same moment.
      if (context !== 0n) ssl.EVP_CIPHER_CTX_free(context)
      context = 0n
    },
  }
}
