import { readTar } from '#lib/tar'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/** An archive for the reader: a typed error, or a walk on which each file is as long as announced. */
export const target: FuzzTarget = { format: 'tar', run: fuzzTar }

async function fuzzTar(data: Uint8Array): Promise<void> {
  for await (const entry of readTar([data], { maxEntries: 10_000 })) {
    let length = 0
    for await (const piece of entry.content) length += piece.length
    if (entry.type === 'file' && length !== entry.size) throw new Error('a file has another size')
  }
}
