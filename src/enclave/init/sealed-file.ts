import { readSync } from 'node:fs'
import type { ChunkOpener } from '#platform/chunk-cipher'

/** A sealed layer, opened: what a serving thread needs to read it. All of it was authenticated. */
export interface SealedFile {
  /** Name in the served directory: `l0`, `l1`, … */
  readonly name: string
  /** Descriptor of the ciphertext, shared by the threads of the process. */
  readonly fd: number
  /** Where chunk 0 starts, in bytes. */
  readonly dataOffset: number
  /** Bytes of plaintext; the last chunk may be shorter. */
  readonly imageLength: number
  /** Bytes a chunk. */
  readonly chunkSize: number
  readonly key: Uint8Array
  readonly fileId: Uint8Array
  /** 16 bytes a chunk, in shared memory where several threads serve. */
  readonly tags: Uint8Array
}

/** Outcome of a read: the plaintext as a view into the caller's buffer, or which chunk is not genuine. */
export type ReadOutcome =
  | { readonly ok: true; readonly data: Uint8Array }
  | { readonly ok: false; readonly chunk: number }

const TAG = 16

/** Bytes that the buffer of `readSealed` needs for reads of up to `size` bytes. */
export function bufferLength(size: number, chunkSize: number): number {
  return size + 2 * chunkSize
}

/**
 * Reads `size` bytes at `offset` of the plaintext: one pread for the run of chunks, each opened where
 * it lies. Ciphertext that is too short is treated as a chunk that is not genuine. On failure the
 * buffer is wiped, since it may hold plaintext of the chunks before the bad one.
 */
export function readSealed(
  file: SealedFile,
  opener: ChunkOpener,
  buffer: Uint8Array,
  offset: number,
  size: number,
): ReadOutcome {
  const end = Math.min(offset + size, file.imageLength)
  if (offset >= end) return { ok: true, data: buffer.subarray(0, 0) }
  const first = Math.floor(offset / file.chunkSize)
  const last = Math.floor((end - 1) / file.chunkSize)
  const runStart = first * file.chunkSize
  const runLength = Math.min((last + 1) * file.chunkSize, file.imageLength) - runStart
  const run = buffer.subarray(0, runLength)
  const got = readFully(file.fd, run, file.dataOffset + runStart)
  for (let chunk = first; chunk <= last; chunk += 1) {
    const from = chunk * file.chunkSize - runStart
    const to = Math.min(from + file.chunkSize, runLength)
    const tag = file.tags.subarray(chunk * TAG, chunk * TAG + TAG)
    if (to > got || !opener.open(chunk, run.subarray(from, to), tag)) {
      run.fill(0)
      return { ok: false, chunk }
    }
  }
  return { ok: true, data: run.subarray(offset - runStart, end - runStart) }
}

function readFully(fd: number, into: Uint8Array, position: number): number {
  let got = 0
  while (got < into.length) {
    let read: number
    try {
      read = readSync(fd, into, got, into.length - got, position + got)
    } catch {
      // The host's disk answers with an error: the same as bytes that are not there.
      return got
    }
    if (read === 0) return got
    got += read
  }
  return got
}
