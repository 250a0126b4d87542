import { type ChunkSealer, TAG_LENGTH } from '#lib/sealed'
import { LayerContext } from './layer-context.ts'
import { GET_TAG, ssl } from './openssl.ts'

/** A chunk sealer that allocates nothing for a chunk; its reference is `createChunkSealer`. Close it. */
export function createOpensslSealer(key: Uint8Array, fileId: Uint8Array): ChunkSealer {
  const layer = new LayerContext(ssl.EVP_EncryptInit_ex, key, fileId)
  const { aad, nonce, length, last } = layer
  return {
    seal(index, plain, out, tag) {
      const context = layer.begin(index, tag)
      if (out.length !== plain.length) throw new RangeError('a chunk is as long sealed as before')
      const ok =
        // Safe: `context` is live; the nonce has 12 bytes, GCM's default length.
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
    close: () => layer.close(),
  }
}
