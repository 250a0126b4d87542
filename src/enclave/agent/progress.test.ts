import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ProgressLog } from './progress.ts'

const never = new AbortController().signal

test('events after a number are answered at once, newer ones when they come', async () => {
  const log = new ProgressLog()
  log.add({ step: 'attest' })
  log.add({ step: 'policy' })
  assert.deepEqual(await log.after(1, never), [{ seq: 2, step: 'policy' }])
  const waiting = log.after(2, never)
  log.add({ step: 'manifest', text: 'x' })
  assert.deepEqual(await waiting, [{ seq: 3, step: 'manifest', text: 'x' }])
})

test('a reader that goes away is answered with nothing', async () => {
  const log = new ProgressLog()
  const gone = new AbortController()
  const waiting = log.after(0, gone.signal)
  gone.abort()
  assert.deepEqual(await waiting, [])
})

test('memory is bounded for a supervisor that never asks', async () => {
  const log = new ProgressLog()
  for (let i = 0; i < 3000; i++) log.add({ step: 'layer', done: i, total: 3000 })
  const events = await log.after(0, never)
  assert.equal(events.length, 1024)
  assert.equal(events.at(-1)?.seq, 3000)
})
