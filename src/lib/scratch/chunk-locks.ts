import { LOCK_WORDS } from './table.ts'

// A word: free, held, or held with somebody who sleeps (the classic futex lock of three states).
const FREE = 0
const HELD = 1
const AWAITED = 2

/**
 * Takes the locks of chunks `first` to `first + count - 1`, at most LOCK_WORDS of them. Words are taken in
 * ascending order whatever chunks they stand for, so two requests never wait for each other. Blocks its
 * thread: for worker threads, and for `forgetAll`.
 */
export function lockChunks(locks: Int32Array, first: number, count: number): void {
  forEachWord(first, count, (word) => lock(locks, word))
}

/** Gives back what `lockChunks` took. */
export function unlockChunks(locks: Int32Array, first: number, count: number): void {
  forEachWord(first, count, (word) => unlock(locks, word))
}

function forEachWord(first: number, count: number, act: (word: number) => void): void {
  if (count > LOCK_WORDS) throw new RangeError(`${count} chunks at a time`)
  const from = first % LOCK_WORDS
  const wrapped = Math.max(0, from + count - LOCK_WORDS)
  for (let word = 0; word < wrapped; word += 1) act(word)
  for (let word = from; word < from + count - wrapped; word += 1) act(word)
}

function lock(locks: Int32Array, word: number): void {
  if (Atomics.compareExchange(locks, word, FREE, HELD) === FREE) return
  while (Atomics.exchange(locks, word, AWAITED) !== FREE) Atomics.wait(locks, word, AWAITED)
}

function unlock(locks: Int32Array, word: number): void {
  if (Atomics.exchange(locks, word, FREE) === AWAITED) Atomics.notify(locks, word, 1)
}
