import { memorySource, readErofs } from '#lib/erofs'
import { isCoded } from '#lib/errors'

/** An image for the strict reader. Oracle: a whole walk with every byte readable, or a typed error. */
export function fuzzErofs(data: Uint8Array): void {
  try {
    for (const entry of readErofs(memorySource(data), { maxEntries: 10_000 })) {
      const wanted = Math.min(entry.size, 65_536)
      if (entry.content(0, wanted).length > wanted)
        throw new Error('content is longer than its size')
    }
  } catch (error) {
    if (!isCoded(error)) throw error
  }
}
