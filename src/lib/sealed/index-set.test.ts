import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { IndexSet } from './index-set.ts'

test('IndexSet gives each index once', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(100_000)), (indexes) => {
      const set = new IndexSet()
      const seen = new Set<number>()
      for (const index of indexes) {
        assert.equal(set.claim(index), !seen.has(index))
        seen.add(index)
      }
    }),
  )
})
