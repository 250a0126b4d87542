import { lockChunks, unlockChunks } from './chunk-locks.ts'
import { SCRATCH_CHUNK, scratchSpan } from './geometry.ts'
import type { NonceCounter } from './nonce-counter.ts'
import { NONCE, type ScratchCipher, TAG } from './scratch-cipher.ts'
import { CHUNK_STATE, LOCK_WORDS, type ScratchTable } from './table.ts'

/** The file of ciphertext, in the hands of the host. Positions and lengths in bytes. */
export interface ScratchFile {
  /** Reads into `into`; fewer bytes only at the end of the file. May throw. */
  read(into: Uint8Array, position: number): number
  /** Writes some or all of `from` and says how many bytes. Throws an error with an errno `code`. */
  write(from: Uint8Array, position: number): number
  /** Gives space back to the disk, or does not: nobody relies on it. */
  punch(position: number, length: number): void
}

/**
 * Why a request failed: the host gave other bytes than were written; an earlier write to the chunk failed;
 * the host's disk is full, or fails; this thread has no nonces left.
 */
export type ScratchFailure = 'tampered' | 'lost' | 'full' | 'failed' | 'exhausted'

/** What became of a write or discard. */
export type ScratchOutcome =
  | { readonly ok: true }
  | { readonly ok: false; readonly why: ScratchFailure; readonly chunk: number }

/** What became of a read: the plaintext is a view into the caller's buffer. */
export type ScratchRead =
  | { readonly ok: true; readonly data: Uint8Array }
  | Extract<ScratchOutcome, { readonly ok: false }>

/** What one thread's store works with. */
export interface ScratchStoreOptions {
  readonly table: ScratchTable
  /** Of this thread alone. */
  readonly cipher: ScratchCipher
  readonly file: ScratchFile
  /** Of this thread alone. */
  readonly nonces: NonceCounter
}

const DONE = { ok: true } as const
const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])

/** Bytes that the buffer of `read` needs for reads of up to `length` bytes. */
export function scratchBuffer(length: number): number {
  return length + 2 * SCRATCH_CHUNK
}

/**
 * The encrypted scratch as one thread sees it (docs/formats/scratch.md). Threads with the same table, key and
 * file see each other's writes as soon as these have returned. Ranges must lie inside the scratch and
 * touch at most LOCK_WORDS chunks; `discard` has no such limit.
 */
export class ScratchStore {
  readonly #table: ScratchTable
  readonly #cipher: ScratchCipher
  readonly #file: ScratchFile
  readonly #counter: NonceCounter
  readonly #one = new Uint8Array(SCRATCH_CHUNK)
  readonly #nonces = new Uint8Array(NONCE * LOCK_WORDS)
  readonly #tags = new Uint8Array(TAG * LOCK_WORDS)

  constructor(options: ScratchStoreOptions) {
    this.#table = options.table
    this.#cipher = options.cipher
    this.#file = options.file
    this.#counter = options.nonces
  }

  /** Reads into `buffer`, which has `scratchBuffer(length)` bytes. It is wiped on a failure. */
  read(buffer: Uint8Array, offset: number, length: number): ScratchRead {
    const { first, count, skip } = this.#span(offset, length)
    const run = buffer.subarray(0, count * SCRATCH_CHUNK)
    const outcome = this.#locked(first, count, () => this.#load(run, first, count))
    if (outcome.ok) return { ok: true, data: run.subarray(skip, skip + length) }
    run.fill(0)
    return outcome
  }

  /** Writes `data`, which is sealed where it lies: it holds ciphertext afterwards. */
  write(data: Uint8Array, offset: number): ScratchOutcome {
    const { first, count } = this.#span(offset, data.length)
    return this.#locked(first, count, () => this.#put(data, offset))
  }

  /** Makes a range read as zeros and gives back the space of its whole chunks. */
  discard(offset: number, length: number): ScratchOutcome {
    this.#inside(offset, length)
    const end = offset + length
    const first = Math.ceil(offset / SCRATCH_CHUNK)
    const last = Math.floor(end / SCRATCH_CHUNK)
    if (first > last) return this.#zero(offset, length)
    const head = this.#zero(offset, first * SCRATCH_CHUNK - offset)
    const tail = this.#zero(last * SCRATCH_CHUNK, end - last * SCRATCH_CHUNK)
    for (let chunk = first; chunk < last; chunk += LOCK_WORDS) {
      this.#forget(chunk, Math.min(LOCK_WORDS, last - chunk))
    }
    return head.ok ? tail : head
  }

  /** Forgets the key and what was decrypted last. */
  close(): void {
    this.#cipher.close()
    this.#one.fill(0)
  }

  #span(offset: number, length: number): { first: number; count: number; skip: number } {
    this.#inside(offset, length)
    return scratchSpan(offset, length)
  }

  #inside(offset: number, length: number): void {
    const end = this.#table.chunks * SCRATCH_CHUNK
    if (!(offset >= 0 && length >= 0 && offset + length <= end)) {
      throw new RangeError(`${length} bytes at ${offset} of a scratch of ${end}`)
    }
  }

  #locked(first: number, count: number, act: () => ScratchOutcome): ScratchOutcome {
    const { locks } = this.#table
    lockChunks(locks, first, count)
    try {
      return act()
    } finally {
      unlockChunks(locks, first, count)
    }
  }

  /** Plaintext of `count` chunks, as few reads of the file as their states allow. */
  #load(run: Uint8Array, first: number, count: number): ScratchOutcome {
    const { states } = this.#table
    for (let i = 0; i < count; ) {
      const state = states[first + i]
      if (state === CHUNK_STATE.lost) return { ok: false, why: 'lost', chunk: first + i }
      let end = i + 1
      while (end < count && states[first + end] === state) end += 1
      const part = run.subarray(i * SCRATCH_CHUNK, end * SCRATCH_CHUNK)
      if (state === CHUNK_STATE.hole) part.fill(0)
      else {
        const bad = this.#open(part, first + i)
        if (bad !== undefined) return { ok: false, why: 'tampered', chunk: bad }
      }
      i = end
    }
    return DONE
  }

  /** Reads and opens a run of written chunks; the first that is not genuine, if there is one. */
  #open(run: Uint8Array, first: number): number | undefined {
    const { tags, nonces } = this.#table
    const got = this.#readFully(run, first * SCRATCH_CHUNK)
    for (let at = 0, index = first; at < run.length; at += SCRATCH_CHUNK, index += 1) {
      const chunk = run.subarray(at, at + SCRATCH_CHUNK)
      const nonce = nonces.subarray(NONCE * index, NONCE * (index + 1))
      const tag = tags.subarray(TAG * index, TAG * (index + 1))
      if (at + SCRATCH_CHUNK > got || !this.#cipher.open(index, chunk, nonce, tag)) return index
    }
    return undefined
  }

  #readFully(into: Uint8Array, position: number): number {
    let got = 0
    while (got < into.length) {
      let count: number
      try {
        count = this.#file.read(into.subarray(got), position + got)
      } catch {
        // The host's disk answers with an error: the same as bytes that are not there.
        return got
      }
      if (count === 0) return got
      got += count
    }
    return got
  }

  #put(data: Uint8Array, offset: number): ScratchOutcome {
    for (let at = 0; at < data.length; ) {
      const chunk = Math.floor((offset + at) / SCRATCH_CHUNK)
      const skip = (offset + at) % SCRATCH_CHUNK
      const whole = skip === 0 ? Math.floor((data.length - at) / SCRATCH_CHUNK) : 0
      const length =
        whole > 0 ? whole * SCRATCH_CHUNK : Math.min(SCRATCH_CHUNK - skip, data.length - at)
      const part = data.subarray(at, at + length)
      const outcome = whole > 0 ? this.#seal(part, chunk, whole) : this.#patch(part, chunk, skip)
      if (!outcome.ok) return outcome
      at += length
    }
    return DONE
  }

  /** Read, check, change, seal anew: for a chunk that is written in part. */
  #patch(data: Uint8Array, chunk: number, skip: number): ScratchOutcome {
    const before = this.#load(this.#one, chunk, 1)
    if (!before.ok) return before
    this.#one.set(data, skip)
    return this.#seal(this.#one, chunk, 1)
  }

  /** Seals and writes a run of whole chunks, then says so in the table: in this order. */
  #seal(run: Uint8Array, first: number, count: number): ScratchOutcome {
    for (let i = 0; i < count; i += 1) {
      const nonce = this.#nonces.subarray(NONCE * i, NONCE * (i + 1))
      if (!this.#counter.next(nonce)) return this.#lose(first, count, 'exhausted')
      const chunk = run.subarray(i * SCRATCH_CHUNK, (i + 1) * SCRATCH_CHUNK)
      this.#cipher.seal(first + i, chunk, nonce, this.#tags.subarray(TAG * i, TAG * (i + 1)))
    }
    const { written, code } = this.#writeFully(run, first * SCRATCH_CHUNK)
    const whole = Math.floor(written / SCRATCH_CHUNK)
    const { tags, nonces, states } = this.#table
    tags.set(this.#tags.subarray(0, TAG * whole), TAG * first)
    nonces.set(this.#nonces.subarray(0, NONCE * whole), NONCE * first)
    states.fill(CHUNK_STATE.written, first, first + whole)
    if (whole === count) return DONE
    return this.#lose(first + whole, count - whole, FULL.has(code) ? 'full' : 'failed')
  }

  #writeFully(from: Uint8Array, position: number): { written: number; code: string } {
    let written = 0
    while (written < from.length) {
      try {
        const count = this.#file.write(from.subarray(written), position + written)
        if (count === 0) return { written, code: 'EIO' }
        written += count
      } catch (error) {
        return { written, code: (error as { code?: string }).code ?? 'EIO' }
      }
    }
    return { written, code: '' }
  }

  /** After a write that failed nobody knows what the file holds, and old data must not come back. */
  #lose(first: number, count: number, why: ScratchFailure): ScratchOutcome {
    this.#table.states.fill(CHUNK_STATE.lost, first, first + count)
    return { ok: false, why, chunk: first }
  }

  /** Zeros in a part of one chunk; one that is a hole has them already. */
  #zero(offset: number, length: number): ScratchOutcome {
    if (length === 0) return DONE
    const chunk = Math.floor(offset / SCRATCH_CHUNK)
    return this.#locked(chunk, 1, () =>
      this.#table.states[chunk] === CHUNK_STATE.hole
        ? DONE
        : this.#patch(new Uint8Array(length), chunk, offset % SCRATCH_CHUNK),
    )
  }

  // Under the locks to the end: a write between the two would be punched away.
  #forget(first: number, count: number): void {
    this.#locked(first, count, () => {
      this.#table.states.fill(CHUNK_STATE.hole, first, first + count)
      this.#file.punch(first * SCRATCH_CHUNK, count * SCRATCH_CHUNK)
      return DONE
    })
  }
}
