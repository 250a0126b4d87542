import { lockChunks, unlockChunks } from './chunk-locks.ts'
import { CHUNK_STATE, LOCK_WORDS, type ScratchTable } from './table.ts'

/**
 * Makes all chunks of a scratch holes, while `drop` takes their ciphertext away. No thread reads or writes one
 * meanwhile: a late read gets zeros, and not bytes that are missing. Throws what `drop` threw; all are holes then too.
 * Blocks its thread while a request is under way.
 */
export function forgetAll(table: ScratchTable, drop: () => void): void {
  // as many chunks in a row as there are locks have all of them
  lockChunks(table.locks, 0, LOCK_WORDS)
  try {
    const { states } = table
    // looked at first: memory that was never written stays unused
    for (let chunk = 0; chunk < states.length; chunk += 1) {
      if (states[chunk] !== CHUNK_STATE.hole) states[chunk] = CHUNK_STATE.hole
    }
    drop()
  } finally {
    unlockChunks(table.locks, 0, LOCK_WORDS)
  }
}
