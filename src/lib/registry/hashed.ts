import { createHash } from 'node:crypto'
import type { ContentName } from '#lib/oci'

/** A stream that is named while it passes. */
export interface Hashed {
  readonly bytes: AsyncIterable<Uint8Array>
  /** Digest and size; only after `bytes` has ended (TypeError before). */
  name(): ContentName
}

/** Takes sha256 and size of a stream on its way. */
export function hashed(source: AsyncIterable<Uint8Array>): Hashed {
  const hash = createHash('sha256')
  let size = 0
  let digest: string | undefined
  async function* pass(): AsyncGenerator<Uint8Array, void, undefined> {
    for await (const chunk of source) {
      hash.update(chunk)
      size += chunk.length
      yield chunk
    }
    digest = `sha256:${hash.digest('hex')}`
  }
  return {
    bytes: pass(),
    name: () => {
      if (digest === undefined) throw new TypeError('the stream has not ended')
      return { digest, size }
    },
  }
}
