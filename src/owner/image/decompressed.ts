import { createGunzip, createZstdDecompress } from 'node:zlib'
import { ProtectError } from './protect-error.ts'

/**
 * Passes compressed bytes through unchanged and shows their decompressed form, piece by piece, to
 * `see`. Throws `FORMAT_INVALID` if they do not decompress.
 */
export async function* decompressed(
  source: AsyncIterable<Uint8Array>,
  compression: 'none' | 'gzip' | 'zstd',
  see: (chunk: Uint8Array) => void,
): AsyncGenerator<Uint8Array> {
  if (compression === 'none') {
    for await (const chunk of source) {
      see(chunk)
      yield chunk
    }
    return
  }
  const stream = compression === 'gzip' ? createGunzip() : createZstdDecompress()
  const failure = Promise.withResolvers<never>()
  // Heard by every wait below; also here, so that an error between two waits is not unhandled.
  failure.promise.catch(() => {})
  stream.on('error', (cause) => failure.reject(invalid(cause)))
  stream.on('data', (chunk: Uint8Array) => see(chunk))
  const ended = new Promise<void>((resolve) => stream.on('end', () => resolve()))
  try {
    for await (const chunk of source) {
      // One piece at a time: the callback comes when it was taken, which is the back-pressure.
      const taken = new Promise<void>((resolve) => stream.write(chunk, () => resolve()))
      await Promise.race([taken, failure.promise])
      yield chunk
    }
    stream.end()
    await Promise.race([ended, failure.promise])
  } finally {
    stream.destroy()
  }
}

function invalid(cause: unknown): ProtectError {
  return new ProtectError('FORMAT_INVALID', 'decompressing a layer: its content is damaged', {
    cause,
  })
}
