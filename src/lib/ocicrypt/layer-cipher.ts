import { createDecipheriv, createHash, createHmac } from 'node:crypto'
import { equalSecret } from '#lib/bytes'
import { chunked } from './chunks.ts'
import { OcicryptError } from './ocicrypt-error.ts'
import type { PrivateOptions, PublicOptions } from './options.ts'

/**
 * What decrypts one layer with AES_256_CTR_HMAC_SHA256 (docs/formats/ocicrypt.md). `nonce` is the
 * whole initial counter block: Node's `aes-256-ctr` with it as iv carries through all 16 bytes.
 */
export interface LayerCipher {
  /** 32 bytes, key of cipher and MAC. Secret. */
  readonly key: Uint8Array
  /** 16 bytes. */
  readonly nonce: Uint8Array
  /** Expected HMAC-SHA-256 of the ciphertext, 32 bytes. */
  readonly hmac: Uint8Array
}

/**
 * Joins both halves of the options into what the cipher needs. The nonce is looked up in the
 * public half first, as ocicrypt does. Throws `LAYER_OPTIONS_INVALID` on a missing or wrong length.
 */
export function layerCipher(
  publicOptions: PublicOptions,
  privateOptions: PrivateOptions,
): LayerCipher {
  const nonce = publicOptions.nonce ?? privateOptions.nonce
  return {
    key: sized(privateOptions.symkey, 'symkey', 32),
    nonce: sized(nonce, 'nonce', 16),
    hmac: sized(publicOptions.hmac, 'hmac', 32),
  }
}

/**
 * Decrypts a layer as a stream. The plaintext is *unverified until the loop ends*: the HMAC, and
 * the digest if `digest` is given, are compared at the end of the source, and
 * `LAYER_MAC_MISMATCH` or `LAYER_DIGEST_MISMATCH` is thrown then. Commit nothing before.
 */
export async function* decryptLayer(
  ciphertext: AsyncIterable<Uint8Array>,
  cipher: LayerCipher,
  digest?: string,
): AsyncGenerator<Uint8Array> {
  const decipher = createDecipheriv('aes-256-ctr', cipher.key, cipher.nonce)
  const mac = createHmac('sha256', cipher.key)
  const [algorithm, expected] = digest?.split(':') ?? []
  const hash = algorithm === undefined ? undefined : createHash(algorithm)
  for await (const chunk of chunked(ciphertext)) {
    mac.update(chunk)
    const plain = decipher.update(chunk)
    hash?.update(plain)
    yield plain
  }
  if (!equalSecret(mac.digest(), cipher.hmac)) {
    throw new OcicryptError(
      'LAYER_MAC_MISMATCH',
      'decrypting a layer: its bytes do not match the HMAC of its options',
    )
  }
  if (hash !== undefined && hash.digest('hex') !== expected) {
    throw new OcicryptError(
      'LAYER_DIGEST_MISMATCH',
      'decrypting a layer: the decrypted bytes do not have the digest noted at encryption',
    )
  }
}

function sized(bytes: Uint8Array | undefined, field: string, length: number): Uint8Array {
  if (bytes?.length !== length) {
    const found = bytes === undefined ? 'is missing' : `has ${bytes.length} bytes`
    throw new OcicryptError(
      'LAYER_OPTIONS_INVALID',
      `reading the options of a layer: ${field} ${found}, ${length} bytes are needed`,
    )
  }
  return bytes
}
