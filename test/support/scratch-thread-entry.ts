import { workerData } from 'node:worker_threads'
import {
  createScratchCipher,
  NonceCounter,
  type ScratchFile,
  ScratchStore,
  type ScratchTable,
  scratchBuffer,
} from '#lib/scratch'

// One thread of several on one scratch whose file is shared memory. It writes ranges that overlap those
// of the others, and reads and discards them.

/** What a thread is given. */
export interface ScratchThread {
  readonly worker: number
  readonly table: ScratchTable
  readonly key: Uint8Array
  readonly bytes: Uint8Array
  readonly ranges: readonly (readonly [number, number])[]
  readonly rounds: number
  /** `[requests that failed, rounds done]`, of all threads. */
  readonly counts: Int32Array
}

const { worker, table, key, bytes, ranges, rounds, counts } = workerData as ScratchThread

const file: ScratchFile = {
  read(into, position) {
    into.set(bytes.subarray(position, position + into.length))
    return into.length
  },
  write(from, position) {
    bytes.set(from, position)
    return from.length
  },
  punch: (position, length) => void bytes.fill(0, position, position + length),
}
const store = new ScratchStore({
  table,
  cipher: createScratchCipher(key),
  file,
  nonces: new NonceCounter(worker),
})
let state = worker * 7919
const next = (below: number): number => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0
  return (state >>> 8) % below
}

for (let round = 0; round < rounds; round += 1) {
  const [offset, length] = ranges[next(ranges.length)] ?? [0, 1]
  const act = next(5)
  if (act < 2) {
    const data = new Uint8Array(length).fill(next(256))
    if (!store.write(data, offset).ok) Atomics.add(counts, 0, 1)
  } else if (act === 2) {
    if (!store.discard(offset, length).ok) Atomics.add(counts, 0, 1)
  } else {
    const read = store.read(new Uint8Array(scratchBuffer(length)), offset, length)
    if (!read.ok) Atomics.add(counts, 0, 1)
  }
  Atomics.add(counts, 1, 1)
}
