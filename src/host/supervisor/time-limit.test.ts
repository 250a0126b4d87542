import assert from 'node:assert/strict'
import { test } from 'node:test'
import { TimeLimit } from './time-limit.ts'

test('a limit aborts with its reason when its time is over, and never after it was disposed of', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const limit = new TimeLimit(1000, () => new Error('too late'))
  const kept = new TimeLimit(1000, () => new Error('kept'))
  t.mock.timers.tick(999)
  assert.equal(limit.signal.aborted, false)
  kept[Symbol.dispose]()
  t.mock.timers.tick(1)
  assert.throws(() => limit.signal.throwIfAborted(), /too late/)
  assert.equal(kept.signal.aborted, false)
})
