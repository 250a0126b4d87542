import { copyOf } from '#lib/bytes'
import { type ChunkSealer, TAG_LENGTH } from '#lib/sealed'
import { GET_TAG, ssl } from './openssl.ts'

const NONCE_LENGTH = 12
const KEY_LENGTH = 32
const FILE_ID_LENGTH = 16

/**
 * A chunk sealer with one context for all chunks of a file and no allocation for any of them; its
 * reference is `createChunkSealer`. Use it from the thread that made it, and close it: the context holds
 * the key schedule, which OpenSSL wipes when it is freed.
 */
export function createOpensslSealer(key: Uint8Array, fileId: Uint8Array): ChunkSealer {
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
  if (ssl.EVP_EncryptInit_ex(context, ssl.EVP_aes_256_gcm(), null, key, null) !== 1) {
    ssl.EVP_CIPHER_CTX_free(context)
    throw new Error('OpenSSL refused the key of a sealed layer')
  }
  return {
    seal(index, plain, out, tag) {
      if (context === 0n) throw new TypeError('the chunk sealer is closed')
      if (out.length !== plain.length) throw new RangeError('a chunk is as long sealed as before')
      if (tag.length !== TAG_LENGTH) throw new RangeError('a tag has 16 bytes')
      if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
      // Without a bigint: it would be the only thing to allocate.
      counter.setUint32(4, Math.floor(index / 2 ** 32))
      counter.setUint32(8, index % 2 ** 32)
      const ok =
        // Safe: `context` is live (checked above); the nonce has 12 bytes, GCM's default length.
        ssl.EVP_EncryptInit_ex(context, null, null, null, nonce) === 1 &&
        // Safe: associated data has 16 bytes and no output pointer.
        ssl.EVP_EncryptUpdate(context, null, length, aad, aad.length) === 1 &&
        // Safe: GCM is a stream: as many bytes go out as in, and `out` has room for them (checked).
        ssl.EVP_EncryptUpdate(context, out, length, plain, plain.length) === 1 &&
        // Safe: GCM writes no final block; `last` has room for one all the same.
        ssl.EVP_EncryptFinal_ex(context, last, length) === 1 &&
        // Safe: the tag has room for the 16 bytes that are asked for (checked).
        ssl.EVP_CIPHER_CTX_ctrl(context, GET_TAG, TAG_LENGTH, tag) === 1
      if (ok) return
      out.fill(0)
      throw new Error('OpenSSL did not seal a chunk')
    },
    close() {
      // Safe: freed once, the address is forgotten at the same moment.
      if (context !== 0n) ssl.EVP_CIPHER_CTX_free(context)
      context = 0n
    },
  }
}
