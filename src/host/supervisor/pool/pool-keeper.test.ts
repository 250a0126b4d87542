import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { RunJob } from '../job.ts'
import { PoolKeeper } from './pool-keeper.ts'

test('a spare that cannot be started is tried again, later each time, and never for nobody', async (t) => {
  const state = mkdtempSync(join(tmpdir(), 'enclave-cc-keeper-'))
  try {
    const said = t.mock.method(process.stderr, 'write', () => true)
    const clock = t.mock.method(performance, 'now')
    t.mock.timers.enable({ apis: ['setTimeout'] })
    let now = 0
    clock.mock.mockImplementation(() => now)
    const wait = (seconds: number): number => {
      for (let i = 0; i < seconds; i++) {
        now += 1000
        t.mock.timers.tick(1000)
      }
      return said.mock.callCount()
    }
    const job = { state, pool: { size: 1, linger: 0, key: '0'.repeat(20) } }
    // No descriptors: whatever it tries fails.
    const host = { holdFd: -1, homeNamespace: -1 }
    const keeper = PoolKeeper.join(job as unknown as RunJob, host)
    assert.equal(wait(5), 0, 'the container does not run yet')
    keeper.begin()
    const tries = [wait(2), wait(8), wait(4), wait(16), wait(6)]
    const left = keeper.leave()
    const after = wait(100)
    clock.mock.restore()
    t.mock.timers.reset()
    said.mock.restore()
    await left
    assert.deepEqual(tries, [1, 1, 2, 2, 3])
    assert.equal(after, 3)
  } finally {
    rmSync(state, { recursive: true })
  }
})
