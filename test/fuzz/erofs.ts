import { findErofs, memorySource, readErofs } from '#lib/erofs'
import { isCoded } from '#lib/errors'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { crc32cRaw } from '../../src/lib/erofs/crc32c.ts'

/** An image for the strict reader: a typed error, or a whole walk with every byte readable and every path found. */
export const target: FuzzTarget = { format: 'erofs', run: fuzzErofs }

function fuzzErofs(data: Uint8Array): void {
  const source = memorySource(withChecksum(data))
  // One path at a time, of images that the walk may refuse later on: found, or a typed error.
  for (const path of ['d/hello', 'ln', 'page/..', 'wh']) {
    try {
      findErofs(source, path)
    } catch (error) {
      if (!isCoded(error)) throw error
    }
  }
  for (const entry of readErofs(source, { maxEntries: 10_000 })) {
    const wanted = Math.min(entry.size, 65_536)
    const isData = [0o100000, 0o120000].includes(entry.mode & 0o170000)
    const isLink = (entry.mode & 0o170000) === 0o120000
    if (!isLink && findErofs(source, entry.path).nid !== entry.nid) {
      throw new Error('a path leads to another entry than the walk found there')
    }
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
