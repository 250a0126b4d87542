import assert from 'node:assert/strict'
import { equalBytes } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import {
  encodeHeader,
  HEADER_BLOCK,
  HEADER_LENGTH,
  openSealed,
  parseHeaderBlock,
  sealedLayout,
  sealedRoot,
} from '#lib/sealed'

/**
 * A whole sealed file, the root taken from the file itself. Oracle: a typed error, or a
 * header that is written back byte for byte; no chunk ever opens under a key of zeros.
 */
export function fuzzSealedLayer(data: Uint8Array): void {
  try {
    const header = parseHeaderBlock(data.subarray(0, HEADER_BLOCK))
    const encodedHeader = data.slice(0, HEADER_LENGTH)
    assert.ok(equalBytes(encodeHeader(header), encodedHeader))
    const { tagsOffset } = sealedLayout(header)
    const tags = data.slice(tagsOffset)
    const image = openSealed({
      encodedHeader,
      root: sealedRoot(encodedHeader, tags),
      key: new Uint8Array(32),
      tags,
      fileLength: data.length,
    })
    image.open(0, data.slice(HEADER_BLOCK, Math.min(tagsOffset, HEADER_BLOCK + 2 ** 14)))
    assert.fail('a chunk opened under a key that did not seal it')
  } catch (error) {
    if (!isCoded(error) || error.code.startsWith('ERR_')) throw error
  }
}
