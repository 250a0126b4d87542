import { dlopen } from 'node:ffi'
import type { ChunkOpener } from './chunk-opener.ts'
import { checkLengths, NONCE_LENGTH, TAG_LENGTH, writeNonce } from './chunk-opener.ts'

/**
 * The OpenSSL that Node itself carries and exports; signatures as in `openssl/evp.h` of 3.x. No
 * package, no file: the code is the measured node binary.
 */
const { functions: ssl } = dlopen(null, {
  EVP_CIPHER_CTX_new: { return: 'pointer', arguments: [] },
  EVP_CIPHER_CTX_free: { return: 'void', arguments: ['pointer'] },
  EVP_aes_256_gcm: { return: 'pointer', arguments: [] },
  EVP_DecryptInit_ex: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'pointer'],
  },
  EVP_DecryptUpdate: {
    return: 'i32',
    arguments: ['pointer', 'pointer', 'pointer', 'pointer', 'i32'],
  },
  EVP_CIPHER_CTX_ctrl: { return: 'i32', arguments: ['pointer', 'i32', 'i32', 'pointer'] },
  EVP_DecryptFinal_ex: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer'] },
})

const SET_TAG = 0x11

/**
 * The opener that decrypts in place with one context for all chunks of a file: a third to a seventh
 * of the reference's time (rootfs.md 4.1). Use it from the thread that made it, and dispose it: the
 * context holds the key schedule, which OpenSSL wipes when it is freed.
 */
export function createOpensslOpener(key: Uint8Array, fileId: Uint8Array): ChunkOpener {
  checkLengths(key, fileId)
  // Private copies: the callee reads 16 and 12 bytes, which a caller's view could not guarantee later.
  const aad = fileId.slice()
  const nonce = new Uint8Array(NONCE_LENGTH)
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
    open(index, chunk, tag) {
      if (context === 0n) throw new TypeError('the opener was disposed')
      if (tag.length !== TAG_LENGTH) throw new RangeError('length of a tag')
      writeNonce(nonce, index)
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
    [Symbol.dispose]() {
      // Safe: freed once, the address is forgotten at the same moment.
      if (context !== 0n) ssl.EVP_CIPHER_CTX_free(context)
      context = 0n
    },
  }
}
