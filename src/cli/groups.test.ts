import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GROUPS } from './groups.ts'

test('every command that a party lists can be called: its first word is a group of that party', async () => {
  for (const { load } of new Set(Object.values(GROUPS))) {
    for (const { path } of await load()) {
      assert.equal(GROUPS[`${path[0]}`]?.load, load, path.join(' '))
    }
  }
})

test('every group has commands of its own', async () => {
  for (const [word, { load }] of Object.entries(GROUPS)) {
    const paths = (await load()).map(({ path }) => path[0])
    assert.ok(paths.includes(word), word)
  }
})
