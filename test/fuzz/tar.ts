import { readTar } from '#lib/tar'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { sumHeader } from '../support/tar-builder.ts'

/** An archive for the reader: a typed error, or a walk on which each file is as long as announced. */
export const target: FuzzTarget = { format: 'tar', run: fuzzTar }

async function fuzzTar(data: Uint8Array): Promise<void> {
  for await (const entry of readTar([withChecksums(data)], { maxEntries: 10_000 })) {
    let length = 0
    for await (const piece of entry.content) length += piece.length
    if (entry.type === 'file' && length !== entry.size) throw new Error('a file has another size')
  }
}

/** Right checksums for whatever looks like a header, or few mutations would get past them. */
function withChecksums(data: Uint8Array): Uint8Array {
  const archive = data.slice()
  for (let at = 0; at + 512 <= archive.length; at += 512) {
    const block = archive.subarray(at, at + 512)
    if (Buffer.from(block.subarray(257, 262)).toString('latin1') === 'ustar') sumHeader(block)
  }
  return archive
}
