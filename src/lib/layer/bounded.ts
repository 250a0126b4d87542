import type { LayerCompression } from '#lib/oci'
import { decompress } from './inflate.ts'
import { LayerError } from './layer-error.ts'

/** What the archive of one layer may come to. */
export interface ArchiveLimits {
  /** Bytes of the archive; default 64 GiB. */
  readonly maxSize?: number
  /** Archive bytes for one blob byte; default 250. */
  readonly maxRatio?: number
  /** Archive bytes below which the ratio does not count; default 256 MiB. */
  readonly ratioFrom?: number
}

/**
 * As `decompress`, of a blob of `size` bytes. Throws LayerError `LAYER_TOO_LARGE` as soon as more comes out than
 * the limits allow, before anybody sees it.
 */
export async function* decompressBounded(
  source: AsyncIterable<Uint8Array>,
  compression: LayerCompression,
  size: number,
  limits: ArchiveLimits = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { maxSize = 64 * 2 ** 30, maxRatio = 250, ratioFrom = 256 * 2 ** 20 } = limits
  const bound = Math.min(maxSize, Math.max(ratioFrom, size * maxRatio))
  let done = 0
  for await (const piece of decompress(source, compression)) {
    done += piece.length
    if (done > bound) {
      const found = `it comes to more than ${bound} bytes from ${size}`
      throw new LayerError('LAYER_TOO_LARGE', `decompressing a layer: ${found}`)
    }
    yield piece
  }
}
