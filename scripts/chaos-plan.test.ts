import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planRounds, VICTIMS } from './chaos-plan.ts'

test('planRounds() of one seed is the same every time, and another for another seed', () => {
  const plan = (seed: number): unknown => [...planRounds(seed, 50, 1000)]
  assert.deepEqual(plan(5), plan(5))
  assert.notDeepEqual(plan(5), plan(6))
})

test('planRounds() kills every victim in all of its phases within eleven rounds', () => {
  for (let seed = 0; seed < 20; seed++) {
    const seen = new Set([...planRounds(seed, 11, 1000)].map((r) => `${r.victim} ${r.phase}`))
    assert.equal(seen.size, VICTIMS.length * 2 - 1)
    assert.ok(!seen.has('spare start'))
  }
})

test('planRounds() numbers rounds from 1 and stays within the time of a start', () => {
  const rounds = [...planRounds(3, 100, 700)]
  assert.deepEqual(
    rounds.map(({ number }) => number),
    Array.from({ length: 100 }, (_, i) => i + 1),
  )
  assert.ok(rounds.every(({ afterMs }) => afterMs >= 0 && afterMs < 700))
})
