import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ALLOWANCE_BURST, ALLOWANCE_RATE, Allowances } from './allowance.ts'

test('a machine causes so much at once, then what it earns, and the rest is counted', () => {
  const allowances = new Allowances()
  const now = 1_000_000
  assert.equal(allowances.take('a', ALLOWANCE_BURST - 10, now), true)
  assert.equal(allowances.take('a', 11, now), false)
  assert.equal(allowances.take('a', 10, now), true)
  assert.equal(allowances.take('a', 1, now), false)
  assert.equal(allowances.take('a', ALLOWANCE_RATE, now + 1000), true)
  assert.equal(allowances.take('a', ALLOWANCE_RATE, now + 1999), false)
  assert.equal(allowances.omitted(), 3)
  assert.equal(allowances.omitted(), 0)
})

test('what one machine causes costs no other anything', () => {
  const allowances = new Allowances()
  allowances.take('a', ALLOWANCE_BURST, 0)
  assert.equal(allowances.take('a', 1, 0), false)
  assert.equal(allowances.take('b', ALLOWANCE_BURST, 0), true)
})

test('a quiet day earns no more than the first burst, and a clock set back earns nothing', () => {
  const allowances = new Allowances()
  const day = 86_400_000
  allowances.take('a', ALLOWANCE_BURST, day)
  assert.equal(allowances.take('a', ALLOWANCE_BURST + 1, 3 * day), false)
  assert.equal(allowances.take('a', ALLOWANCE_BURST, 3 * day), true)
  assert.equal(allowances.take('a', 1, 0), false)
  assert.equal(allowances.take('a', 1, 1000), true, 'from the clock as it is now')
})

test('machines that have all of it again are forgotten, the others are not', () => {
  const allowances = new Allowances()
  allowances.take('busy', ALLOWANCE_BURST, 0)
  for (let i = 0; i < 5000; i++) allowances.take(`m${i}`, 1, i)
  assert.equal(allowances.take('busy', ALLOWANCE_RATE * 10, 5000), false)
})
