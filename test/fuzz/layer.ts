import assert from 'node:assert/strict'
import { memorySource, readErofs } from '#lib/erofs'
import { readTar } from '#lib/tar'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { applyEntry } from '../../src/lib/layer/apply-entry.ts'
import { buildImage } from '../support/erofs-image.ts'
import { vectorBytes } from '../support/vector-file.ts'

const S_IFMT = 0o170000
const S_IFREG = 0o100000

/**
 * An archive that becomes a filesystem: a typed error, or an image that the strict reader walks to its end,
 * with no device nodes but the whiteouts of overlayfs.
 */
export const target: FuzzTarget = {
  format: 'tar',
  seeds: () => ['pax', 'gnu', 'ustar'].map((name) => vectorBytes(`tar/${name}.tar`)),
  run: fuzzLayer,
}

async function fuzzLayer(data: Uint8Array): Promise<void> {
  const { image } = await buildImage(async (writer) => {
    const omitted = { devices: 0, xattrs: 0 }
    for await (const entry of readTar([withChecksums(data)], { maxEntries: 10_000 })) {
      await applyEntry(writer, entry, omitted)
    }
  })
  for (const entry of readErofs(memorySource(image), { maxEntries: 20_000 })) {
    if ((entry.mode & S_IFMT) !== S_IFREG) continue
    const wanted = Math.min(entry.size, 65_536)
    assert.equal(entry.content(0, wanted).length, wanted)
  }
}

/** Right header checksums, or hardly a mutation would get past the first field. */
function withChecksums(data: Uint8Array): Uint8Array {
  const out = data.slice()
  for (let at = 0; at + 512 <= out.length; at += 512) {
    const block = out.subarray(at, at + 512)
    const isHeader = block[257] === 0x75 && block[258] === 0x73 && block[259] === 0x74
    if (!isHeader) continue
    block.fill(0x20, 148, 156)
    const sum = block.reduce((total, byte) => total + byte, 0)
    block.set(new TextEncoder().encode(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
  }
  return out
}
