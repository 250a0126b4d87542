import { toBase64, utf8 } from '#lib/bytes'
import { LAYER_CIPHER_NAME, type PrivateOptions, type PublicOptions } from '../options.ts'

/** Public options JSON in Go's member order, compact (docs/formats/ocicrypt.md). */
export function encodePublicOptions(options: PublicOptions): Uint8Array {
  const cipheroptions = options.nonce === undefined ? {} : { nonce: toBase64(options.nonce) }
  const hmac = toBase64(options.hmac)
  return utf8(JSON.stringify({ cipher: LAYER_CIPHER_NAME, hmac, cipheroptions }))
}

/** Private options JSON in Go's member order, compact; 193 bytes with a sha256 digest. Secret. */
export function encodePrivateOptions(options: Required<PrivateOptions>): Uint8Array {
  const symkey = toBase64(options.symkey)
  const cipheroptions = { nonce: toBase64(options.nonce) }
  return utf8(JSON.stringify({ symkey, digest: options.digest, cipheroptions }))
}
