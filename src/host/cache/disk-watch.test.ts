import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { test } from 'node:test'
import { DiskWatch } from './disk-watch.ts'

const MIB = 1024 * 1024
const GIB = 1024 * MIB

/** What a disk wants that had so many free bytes, one look after the other. */
function wanted(...free: readonly (number | undefined)[]): number {
  let at = 0
  using watch = new DiskWatch('/disk', () => free[at++])
  for (let i = 1; i < free.length; i++) watch.look()
  return watch.wanted
}

test('a disk with room wants nothing back, whatever an enclave says', () => {
  assert.equal(wanted(GIB), 0)
  assert.equal(wanted(10 * GIB, 5 * GIB, 2 * GIB, 10 * GIB), 0)
  assert.equal(wanted(undefined, undefined), 0, 'there is no cache')
})

test('a disk that was full for a moment wants as much as it lost, and no more', () => {
  assert.equal(wanted(4 * GIB, GIB, 10 * MIB, 4 * GIB), 4 * GIB - 10 * MIB)
  assert.equal(wanted(80 * GIB, 9 * GIB, 80 * GIB), 71 * GIB, 'seen between two looks')
})

test('a disk that was full from the start wants a little, so that the next start comes further', () => {
  assert.equal(wanted(0), 256 * MIB)
  assert.equal(wanted(60 * MIB, 0, 60 * MIB), 256 * MIB)
})

test('of what a disk wants, only that is missing which nobody else made room for', () => {
  const free = [4 * GIB, 10 * MIB, 4 * GIB]
  let at = 0
  using watch = new DiskWatch('/disk', () => free[Math.min(at, 2)])
  at = 1
  watch.look()
  at = 2
  const { wanted } = watch
  assert.equal(watch.missing, wanted, 'as much is free as before: the next start comes no further')
  free[2] = 5 * GIB
  assert.equal(watch.missing, wanted - GIB, 'another start made room')
  free[2] = 9 * GIB
  assert.equal(watch.missing, 0)
  free[2] = 0
  assert.equal(watch.missing, wanted, 'never more than was wanted')
})

test('a disk is looked at without being asked', async () => {
  let looks = 0
  const seen = Promise.withResolvers<void>()
  // an interval of its own keeps nothing alive
  const alive = setInterval(() => {}, 1000)
  try {
    using _watch = new DiskWatch(tmpdir(), () => {
      if (++looks === 3) seen.resolve()
      return GIB
    })
    await seen.promise
  } finally {
    clearInterval(alive)
  }
})

test('a real disk has free bytes; a folder that is not there has none', () => {
  using there = new DiskWatch('/proc')
  assert.ok(there.wanted > 0, 'proc holds nothing, so it is full')
  using gone = new DiskWatch('/nonexistent')
  assert.equal(gone.wanted, 0)
})
