import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { test } from 'node:test'
import { Worker } from 'node:worker_threads'
import type { ScratchThread } from '../../../test/support/scratch-thread-entry.ts'
import { createScratchTable, LOCK_WORDS, SCRATCH_CHUNK } from './index.ts'

const C = SCRATCH_CHUNK
const ENTRY = join(import.meta.dirname, '../../../test/support/scratch-thread-entry.ts')

test('threads that read, write and discard the same chunks never meet a chunk that does not fit its tag, and never wait for each other for ever', async () => {
  const size = 2 * LOCK_WORDS * C
  const wrap = LOCK_WORDS * C
  // Aligned and not, one inside another, and two that take the same locks from different ends.
  const ranges = [
    [0, 3 * C],
    [100, 2 * C],
    [C - 1, 2],
    [C + 700, 600],
    [wrap - 2 * C, 4 * C],
    [wrap, 2 * C],
    [wrap - 600, 1200],
  ] as const
  const shared = {
    table: createScratchTable(size),
    key: new Uint8Array(randomBytes(32)),
    bytes: new Uint8Array(new SharedArrayBuffer(size)),
    counts: new Int32Array(new SharedArrayBuffer(8)),
    ranges,
    rounds: 1500,
  }
  const threads = [1, 2, 3].map((worker) => {
    const workerData: ScratchThread = { worker, ...shared }
    return new Worker(ENTRY, { workerData })
  })
  const codes = await Promise.all(threads.map((thread) => once(thread, 'exit')))
  assert.deepEqual(codes.flat(), [0, 0, 0])
  assert.equal(shared.counts[1], 3 * shared.rounds)
  // Without the locks a tag of one write would meet the ciphertext of another.
  assert.equal(shared.counts[0], 0, 'requests that failed')
  assert.ok(
    shared.table.locks.every((word) => word === 0),
    'a lock was kept',
  )
})
