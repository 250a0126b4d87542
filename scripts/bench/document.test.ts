import assert from 'node:assert/strict'
import { test } from 'node:test'
import { measured, row } from './document.ts'

const LOWER = { name: 'time', unit: 'ms', better: 'lower', goal: null } as const

test('measured() takes the middle of odd and the mean of the two middle of even counts', () => {
  assert.deepEqual(measured([3, 1, 2]), { median: 2, min: 1, max: 3, samples: [3, 1, 2] })
  assert.equal(measured([4, 1, 2, 3]).median, 2.5)
  assert.throws(() => measured([]), RangeError)
})

test('row() gives a ratio above 1 where ours is better, whichever direction is good', () => {
  const peer = { name: 'runc', samples: [200] }
  assert.equal(row(LOWER, [100], peer).ratio, 2)
  assert.equal(row({ ...LOWER, better: 'higher' }, [100], peer).ratio, 0.5)
  assert.equal(row(LOWER, [100]).ratio, null)
})

test('row() decides by the ratio with a peer, and by the value without', () => {
  const peer = { name: 'runc', samples: [100] }
  assert.equal(row({ ...LOWER, goal: 0.5 }, [190], peer).met, true)
  assert.equal(row({ ...LOWER, goal: 0.5 }, [210], peer).met, false)
  assert.equal(row({ ...LOWER, goal: 150 }, [149]).met, true)
  assert.equal(row({ ...LOWER, goal: 150 }, [151]).met, false)
  assert.equal(row({ ...LOWER, better: 'higher', goal: 150 }, [149]).met, false)
  assert.equal(row(LOWER, [1]).met, null)
})

test('row() does not decide where the samples of either side spread by more than half', () => {
  assert.equal(row({ ...LOWER, goal: 150 }, [100, 151]).met, null)
  const peer = { name: 'runc', samples: [100, 151] }
  assert.equal(row({ ...LOWER, goal: 0.1 }, [100], peer).met, null)
  assert.equal(row({ ...LOWER, goal: 150 }, [100, 149]).met, true)
})
