import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { mutations, randomOf } from './fuzz-mutations.ts'

const SEEDS = [
  Uint8Array.from({ length: 100 }, (_, i) => i),
  new TextEncoder().encode('{"member":[1,2,3]}'),
  new Uint8Array(0),
]

function take(count: number, seed: number): Uint8Array[] {
  return mutations(SEEDS, seed).take(count).toArray()
}

function digest(inputs: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(`${input.length};`).update(input)
  return hash.digest('hex')
}

test('mutations() of one seed are the same in every run and on every machine', () => {
  assert.equal(digest(take(2000, 7)), digest(take(2000, 7)))
  // fixed once: a find that was reported with its seed must be found again by other versions
  assert.equal(
    digest(take(2000, 7)),
    'e08aeacd595ca2c8252fb8ded1e7373f5cda48f747917e8d63deb5fbb3b34732',
  )
})

test('mutations() of different seeds differ', () => {
  assert.notEqual(digest(take(2000, 7)), digest(take(2000, 8)))
})

test('mutations() gives every seed first, as it is', () => {
  assert.deepEqual(take(SEEDS.length, 1), SEEDS)
})

test('mutations() never changes a seed', () => {
  const before = SEEDS.map((seed) => seed.slice())
  take(2000, 3)
  assert.deepEqual(SEEDS, before)
})

test('mutations() gives inputs that are shorter, longer and as long as their seeds', () => {
  const lengths = take(500, 1).map(({ length }) => length)
  assert.ok(lengths.some((length) => length > 100))
  assert.ok(lengths.some((length) => length > 18 && length < 100))
  assert.ok(lengths.filter((length) => length === 100).length > 10)
})

test('randomOf() stays below its bound and takes seed 0', () => {
  for (const seed of [0, 1, 2 ** 32 - 1]) {
    const random = randomOf(seed)
    for (let i = 0; i < 1000; i++) assert.ok(random(7) < 7)
  }
})
