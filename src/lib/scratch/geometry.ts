/** Bytes of a chunk: the block of the filesystem above, so that whole chunks are the rule. */
export const SCRATCH_CHUNK = 4096
/** Smallest scratch in bytes, 16 MiB: an ext4 with room in it. */
export const MIN_SCRATCH: number = 2 ** 24
/** Largest scratch in bytes, 256 GiB; its table takes up to 1.8 GiB. */
export const MAX_SCRATCH: number = 2 ** 38

/** Chunks of a scratch. Throws RangeError for a size that docs/formats/scratch.md does not allow. */
export function scratchChunks(size: number): number {
  if (!Number.isSafeInteger(size) || size < SCRATCH_CHUNK || size > MAX_SCRATCH) {
    throw new RangeError(`a scratch of ${size} bytes`)
  }
  if (size % SCRATCH_CHUNK !== 0) throw new RangeError('a scratch is whole chunks')
  return size / SCRATCH_CHUNK
}

/** The chunks that a range of bytes touches. */
export interface ScratchSpan {
  readonly first: number
  readonly count: number
  /** Bytes of the first chunk before the range. */
  readonly skip: number
}

/** Chunks of the `length` bytes at `offset`. */
export function scratchSpan(offset: number, length: number): ScratchSpan {
  const first = Math.floor(offset / SCRATCH_CHUNK)
  const end = Math.ceil((offset + length) / SCRATCH_CHUNK)
  return { first, count: length === 0 ? 0 : end - first, skip: offset - first * SCRATCH_CHUNK }
}
