import {
  CHUNK_SIZE,
  chunkLength,
  chunkOffset,
  HEADER_BLOCK,
  HEADER_LENGTH,
  openSealed,
  parseHeaderBlock,
  sealedLayout,
  sealedRoot,
} from '#lib/sealed'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

/**
 * The file of test/vectors/sealed-layer/two-chunks.json, opened with its key but the root of whatever
 * stands in it: a typed error, or for each chunk that opens exactly the bytes that were sealed there.
 */
export const target: FuzzTarget = { format: 'sealed-layer', run: fuzzSealedLayer }

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i)

function fuzzSealedLayer(data: Uint8Array): void {
  const header = parseHeaderBlock(data.subarray(0, HEADER_BLOCK))
  const encodedHeader = data.slice(0, HEADER_LENGTH)
  const { tagsOffset } = sealedLayout(header)
  const tags = data.slice(tagsOffset)
  const root = sealedRoot(encodedHeader, tags)
  const image = openSealed({ encodedHeader, root, key: KEY, tags, fileLength: data.length })
  let failure: unknown
  for (let index = 0; index < header.chunkCount; index++) {
    const chunk = data.slice(chunkOffset(index), chunkOffset(index) + chunkLength(header, index))
    try {
      image.open(index, chunk)
    } catch (error) {
      failure ??= error
      continue
    }
    if (chunk.some((byte, at) => byte !== (index * CHUNK_SIZE + at) % 251)) {
      throw new Error('a chunk opened with other bytes than were sealed')
    }
  }
  if (failure !== undefined) throw failure
}
