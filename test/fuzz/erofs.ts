import { memorySource, readErofs } from '#lib/erofs'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { crc32cRaw } from '../../src/lib/erofs/crc32c.ts'

/** An image for the strict reader: a typed error, or a whole walk with every byte readable. */
export const target: FuzzTarget = { format: 'erofs', run: fuzzErofs }

function fuzzErofs(data: Uint8Array): void {
  for (const entry of readErofs(memorySource(withChecksum(data)), { maxEntries: 10_000 })) {
    const wanted = Math.min(entry.size, 65_536)
    const isData = [0o100000, 0o120000].includes(entry.mode & 0o170000)
    if (isData && entry.content(0, wanted).length !== wanted) throw new Error('content is short')
  }
}

/** A right checksum, or no mutation would get past the superblock. */
function withChecksum(data: Uint8Array): Uint8Array {
  if (data.length < 4096) return data
  const image = data.slice()
  const view = new DataView(image.buffer)
  view.setUint32(1028, 0, true)
  view.setUint32(1028, crc32cRaw(image.subarray(1024, 4096)), true)
  return image
}
