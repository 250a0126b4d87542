import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RefusalBudget } from './refusal-budget.ts'

test('1024 refusals are recorded at once, then one each five seconds, and the rest is counted', () => {
  const budget = new RefusalBudget()
  let now = 1_000_000
  for (let i = 0; i < 1024; i++) assert.equal(budget.take(now), true)
  assert.equal(budget.take(now), false)
  assert.equal(budget.take(now + 4999), false)
  assert.equal(budget.take(now + 5000), true)
  assert.equal(budget.take(now + 5000), false)
  assert.equal(budget.omitted(), 3)
  assert.equal(budget.omitted(), 0)
  now += 5000
  for (let second = 1; second <= 50; second++) {
    assert.equal(budget.take(now + second * 1000), second % 5 === 0)
  }
  assert.equal(budget.omitted(), 40)
})

test('a quiet day earns no more than the first burst, and a clock set back earns nothing', () => {
  const budget = new RefusalBudget()
  for (let i = 0; i < 1024; i++) budget.take(0)
  let recorded = 0
  for (let i = 0; i < 3000; i++) if (budget.take(86_400_000)) recorded++
  assert.equal(recorded, 1024)
  assert.equal(budget.take(1000), false)
  assert.equal(budget.take(6000), true, 'from the clock as it is now')
})
