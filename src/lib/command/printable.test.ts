import assert from 'node:assert/strict'
import { test } from 'node:test'
import { printable } from './index.ts'

test('printable() leaves nothing that moves a cursor or begins a line, and keeps other text', () => {
  assert.equal(printable('a\u001b[2Jb\r\nnext: c\u009b1m\u2028d'), 'a [2Jb next: c 1m d')
  assert.equal(printable('größer → 日本'), 'größer → 日本')
})
