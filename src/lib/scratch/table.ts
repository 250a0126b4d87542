import { scratchChunks } from './geometry.ts'

/** What is known of a chunk: never written or discarded, written, or broken by a write that failed. */
export const CHUNK_STATE = { hole: 0, written: 1, lost: 2 } as const

/** Words that locks are spread over; a request may hold as many chunks at a time. */
export const LOCK_WORDS = 1024

/**
 * What proves the chunks of one scratch (docs/formats/scratch.md): 29 bytes a chunk in shared memory, so
 * that serving threads see one truth. It can be sent to another thread as it is.
 */
export interface ScratchTable {
  readonly chunks: number
  /** 16 bytes a chunk. */
  readonly tags: Uint8Array
  /** 12 bytes a chunk. */
  readonly nonces: Uint8Array
  /** A `CHUNK_STATE` a chunk. */
  readonly states: Uint8Array
  readonly locks: Int32Array
}

/** The table of a scratch of `size` bytes, all holes. Memory is touched only where chunks are written. */
export function createScratchTable(size: number): ScratchTable {
  const chunks = scratchChunks(size)
  const shared = (length: number): Uint8Array => new Uint8Array(new SharedArrayBuffer(length))
  return {
    chunks,
    tags: shared(16 * chunks),
    nonces: shared(12 * chunks),
    states: shared(chunks),
    locks: new Int32Array(new SharedArrayBuffer(4 * LOCK_WORDS)),
  }
}
