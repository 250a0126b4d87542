import { NONCE, SCRATCH_KEY, type ScratchCipher, TAG } from '#lib/scratch'
import { GET_TAG, SET_TAG, ssl } from './openssl.ts'

/**
 * A scratch cipher that works in place, with one context for each direction. Its reference is
 * `createScratchCipher`. Use it from the thread that made it, and close it: the contexts hold the key
 * schedule, which OpenSSL wipes when they are freed.
 */
export function createOpensslScratchCipher(key: Uint8Array): ScratchCipher {
  // OpenSSL reads as many bytes as the algorithm says, whatever the array holds.
  if (key.length !== SCRATCH_KEY) throw new RangeError('a scratch key has 32 bytes')
  const aad = new Uint8Array(8)
  const position = new DataView(aad.buffer)
  const length = new Uint8Array(4)
  const last = new Uint8Array(TAG)
  let sealing = ssl.EVP_CIPHER_CTX_new()
  let opening = ssl.EVP_CIPHER_CTX_new()
  const close = (): void => {
    // Safe: each is freed once, its address is forgotten at the same moment.
    if (sealing !== 0n) ssl.EVP_CIPHER_CTX_free(sealing)
    if (opening !== 0n) ssl.EVP_CIPHER_CTX_free(opening)
    sealing = 0n
    opening = 0n
  }
  // Safe: the cipher is a static object; the key has 32 bytes (checked) and is copied by the calls.
  if (
    sealing === 0n ||
    opening === 0n ||
    ssl.EVP_EncryptInit_ex(sealing, ssl.EVP_aes_256_gcm(), null, key, null) !== 1 ||
    ssl.EVP_DecryptInit_ex(opening, ssl.EVP_aes_256_gcm(), null, key, null) !== 1
  ) {
    close()
    throw new Error('OpenSSL has no context for a scratch key')
  }

  function check(index: number, nonce: Uint8Array, tag: Uint8Array): void {
    if (sealing === 0n) throw new TypeError('the scratch cipher is closed')
    if (nonce.length !== NONCE || tag.length !== TAG) throw new RangeError('nonce 12, tag 16 bytes')
    if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
    position.setUint32(0, Math.floor(index / 2 ** 32))
    position.setUint32(4, index % 2 ** 32)
  }

  return {
    seal(index, chunk, nonce, tag) {
      check(index, nonce, tag)
      // Safe: `sealing` is live (checked); nonce and associated data have the lengths that are said,
      // input and output are the same bytes, which GCM (a stream) allows, and as many go out as in;
      // `last` has room for a block although GCM writes none; the tag has 16 bytes (checked).
      const ok =
        ssl.EVP_EncryptInit_ex(sealing, null, null, null, nonce) === 1 &&
        ssl.EVP_EncryptUpdate(sealing, null, length, aad, aad.length) === 1 &&
        ssl.EVP_EncryptUpdate(sealing, chunk, length, chunk, chunk.length) === 1 &&
        ssl.EVP_EncryptFinal_ex(sealing, last, length) === 1 &&
        ssl.EVP_CIPHER_CTX_ctrl(sealing, GET_TAG, TAG, tag) === 1
      if (ok) return
      // Half of it may be plaintext: it must not be written anywhere.
      chunk.fill(0)
      throw new Error('OpenSSL did not seal a chunk')
    },
    open(index, chunk, nonce, tag) {
      check(index, nonce, tag)
      // Safe: as above, with `opening`; the tag is copied.
      const ok =
        ssl.EVP_DecryptInit_ex(opening, null, null, null, nonce) === 1 &&
        ssl.EVP_DecryptUpdate(opening, null, length, aad, aad.length) === 1 &&
        ssl.EVP_DecryptUpdate(opening, chunk, length, chunk, chunk.length) === 1 &&
        ssl.EVP_CIPHER_CTX_ctrl(opening, SET_TAG, TAG, tag) === 1 &&
        ssl.EVP_DecryptFinal_ex(opening, last, length) === 1
      if (!ok) chunk.fill(0)
      return ok
    },
    close,
  }
}
