import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EnclaveClock } from './enclave-clock.ts'

test('the time is the bundle date, then what the broker signed, plus own progress', () => {
  let progress = 500
  const clock = new EnclaveClock(1000, () => progress)
  assert.equal(clock.now(), 1_000_000)
  progress += 2000
  assert.equal(clock.now(), 1_002_000)
  clock.observe(5000)
  progress += 10
  assert.equal(clock.now(), 5_000_010)
})

test('an earlier time of the broker changes nothing: time never goes back', () => {
  const clock = new EnclaveClock(1000, () => 0)
  clock.observe(5000)
  clock.observe(4000)
  assert.equal(clock.now(), 5_000_000)
})
