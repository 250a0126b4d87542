import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ownWords } from './own-words.ts'

test('a process says so much and no more, and that it left something out', () => {
  const lines: string[] = []
  const say = ownWords((line) => void lines.push(line), 100)
  for (let i = 0; i < 1000; i++) say(`tee device: ${i}`)
  assert.ok(lines.join('').length < 160)
  assert.equal(lines[0], 'tee device: 0\n')
  assert.match(lines.at(-1) ?? '', /left out\n$/)
  assert.equal(lines.filter((line) => /left out/.test(line)).length, 1)
})
