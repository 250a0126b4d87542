import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { openValue, sealValue } from './value-seal.ts'

const key = randomBytes(32)
const name = { namespace: 'acme', type: 'note', tag: 'a' }

test('a sealed value opens under its own name and key only, and unchanged only', () => {
  const sealed = sealValue(key, name, utf8('value'))
  assert.deepEqual(openValue(key, name, sealed), utf8('value'))
  assert.deepEqual(openValue(key, name, sealValue(key, name, utf8(''))), utf8(''))
  const damaged = { code: 'RESOURCE_DAMAGED' }
  assert.throws(() => openValue(key, { ...name, tag: 'b' }, sealed), damaged)
  assert.throws(() => openValue(randomBytes(32), name, sealed), damaged)
  for (let i = 0; i < sealed.length; i++) {
    const changed = sealed.slice()
    changed[i] = (changed[i] ?? 0) ^ 1
    assert.throws(() => openValue(key, name, changed), damaged)
    assert.throws(() => openValue(key, name, sealed.slice(0, i)), damaged)
  }
})
