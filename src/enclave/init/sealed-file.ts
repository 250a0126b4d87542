import { readSync } from 'node:fs'
import {
  CHUNK_SIZE,
  type ChunkOpener,
  chunkLength,
  chunkOffset,
  chunkSpan,
  type SealedHeader,
  TAG_LENGTH,
} from '#lib/sealed'

/** A sealed layer, opened: what a serving thread needs to read it. All of it was authenticated. */
export interface SealedFile {
  /** Name in the served directory: `l0`, `l1`, … */
  readonly name: string
  /** Descriptor of the ciphertext, shared by the threads of the process. */
  readonly fd: number
  readonly header: SealedHeader
  readonly key: Uint8Array
  /** 16 bytes a chunk, in shared memory where several threads serve. */
  readonly tags: Uint8Array
}

/** Name under which layer `i`, base first, is served. */
export function servedName(i: number): string {
  return `l${i}`
}

/** Outcome of a read: the plaintext as a view into the caller's buffer, or which chunk is not genuine. */
export type ReadOutcome =
  | { readonly ok: true; readonly data: Uint8Array }
  | { readonly ok: false; readonly chunk: number }

/** Bytes that the buffer of `readSealed` needs for reads of up to `size` bytes. */
export function bufferLength(size: number): number {
  return size + 2 * CHUNK_SIZE
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
  const span = chunkSpan(file.header, offset, size)
  const run = buffer.subarray(0, span.bytes)
  const got = readFully(file.fd, run, chunkOffset(span.first))
  let from = 0
  for (let chunk = span.first; chunk < span.first + span.count; chunk += 1) {
    const to = from + chunkLength(file.header, chunk)
    const tag = file.tags.subarray(chunk * TAG_LENGTH, (chunk + 1) * TAG_LENGTH)
    if (to > got || !opener.openInPlace(chunk, run.subarray(from, to), tag)) {
      run.fill(0)
      return { ok: false, chunk }
    }
    from = to
  }
  return { ok: true, data: run.subarray(span.skip, span.skip + span.length) }
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
