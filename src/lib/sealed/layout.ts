import { CHUNK_LOG2, HEADER_LENGTH, parseHeader, type SealedHeader } from './header.ts'
import { SealedError } from './sealed-error.ts'

/** Bytes before the data region: `H` and zeros. */
export const HEADER_BLOCK = 4096

/** Plaintext and ciphertext bytes of every chunk but the last. */
export const CHUNK_SIZE: number = 2 ** CHUNK_LOG2

/** Bytes of a GCM tag. */
export const TAG_LENGTH = 16

/** Where the parts of a sealed file lie; all in bytes. */
export interface SealedLayout {
  readonly tagsOffset: number
  readonly tagsLength: number
  /** The exact length of the file. */
  readonly fileLength: number
}

/** Offsets of the tag table and the exact file length. */
export function sealedLayout(header: SealedHeader): SealedLayout {
  const tagsOffset = HEADER_BLOCK + header.imageLength
  const tagsLength = header.chunkCount * TAG_LENGTH
  return { tagsOffset, tagsLength, fileLength: tagsOffset + tagsLength }
}

/** Offset in the file of chunk `index`. */
export function chunkOffset(index: number): number {
  return HEADER_BLOCK + index * CHUNK_SIZE
}

/** Bytes of chunk `index`: CHUNK_SIZE, less for the last one. RangeError past the end. */
export function chunkLength(header: SealedHeader, index: number): number {
  if (!Number.isInteger(index) || index < 0 || index >= header.chunkCount) {
    throw new RangeError(`chunk ${index} of ${header.chunkCount}`)
  }
  return Math.min(CHUNK_SIZE, header.imageLength - index * CHUNK_SIZE)
}

/** The run of whole chunks that covers a byte range of the image. */
export interface ChunkSpan {
  readonly first: number
  /** Chunks in the run; 0 where the range lies past the end. */
  readonly count: number
  /** Bytes of ciphertext in the run, from `chunkOffset(first)` on. */
  readonly bytes: number
  /** Where the wanted range starts in the run's plaintext. */
  readonly skip: number
  /** Bytes wanted, cut at the end of the image. */
  readonly length: number
}

/** Which chunks a read of `length` bytes at `offset` of the image needs. */
export function chunkSpan(header: SealedHeader, offset: number, length: number): ChunkSpan {
  if (!Number.isSafeInteger(offset) || offset < 0 || !Number.isSafeInteger(length) || length < 0) {
    throw new RangeError('offset and length of a read')
  }
  const end = Math.min(header.imageLength, offset + length)
  const first = Math.floor(offset / CHUNK_SIZE)
  if (end <= offset) return { first, count: 0, bytes: 0, skip: 0, length: 0 }
  const count = Math.ceil(end / CHUNK_SIZE) - first
  const start = first * CHUNK_SIZE
  const bytes = Math.min(header.imageLength, (first + count) * CHUNK_SIZE) - start
  return { first, count, bytes, skip: offset - start, length: end - offset }
}

/** The first 4096 bytes of a sealed file. */
export function headerBlock(encoded: Uint8Array): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(HEADER_BLOCK)
  block.set(encoded)
  return block
}

/** Parses the first 4096 bytes of a sealed file; the padding must be zero. */
export function parseHeaderBlock(block: Uint8Array): SealedHeader {
  if (block.length !== HEADER_BLOCK) {
    const found = `the header block has ${block.length} bytes, ${HEADER_BLOCK} are needed`
    throw new SealedError('SEALED_FORMAT', `reading a sealed layer: ${found}`)
  }
  for (let at = HEADER_LENGTH; at < HEADER_BLOCK; at++) {
    if (block[at] !== 0) {
      throw new SealedError(
        'SEALED_FORMAT',
        `reading a sealed layer: header byte ${at} is not zero`,
      )
    }
  }
  return parseHeader(block.subarray(0, HEADER_LENGTH))
}
