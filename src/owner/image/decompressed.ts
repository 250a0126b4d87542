import { once } from 'node:events'
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
  let failure: Error | undefined
  stream.on('data', (chunk: Uint8Array) => see(chunk))
  stream.on('error', (error) => {
    failure = error
  })
  try {
    for await (const chunk of source) {
      // One piece at a time: the callback comes when it was taken, which is the back-pressure.
      await new Promise<void>((resolve) => stream.write(chunk, () => resolve()))
      if (failure !== undefined) throw invalid(failure)
      yield chunk
    }
    const ended = once(stream, 'end')
    stream.end()
    try {
      await ended
    } catch (error) {
      throw invalid(error)
    }
  } finally {
    stream.destroy()
  }
}

function invalid(cause: unknown): ProtectError {
  return new ProtectError('FORMAT_INVALID', 'decompressing a layer: its content is damaged', {
    cause,
  })
}
