import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { TwoFiles } from './two-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-two-files-'))
after(() => rmSync(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

test('however much is appended, two files of the limit hold the last of it', () => {
  using log = new TwoFiles(at('flood'), 1000)
  for (let i = 0; i < 500; i++) assert.ok(log.append(utf8(`${i}`.padEnd(99, '.').concat('\n'))))
  assert.ok(statSync(at('flood')).size <= 1000)
  assert.ok(statSync(at('flood.1')).size <= 1000)
  const kept = readFileSync(at('flood.1'), 'utf8') + readFileSync(at('flood'), 'utf8')
  assert.ok(kept.startsWith('48'))
  assert.ok(kept.includes('499'))
})

test('what one process left counts for the next', () => {
  writeFileSync(at('left'), 'x'.repeat(990))
  using log = new TwoFiles(at('left'), 1000)
  assert.ok(log.append(utf8('y'.repeat(20))))
  assert.equal(readFileSync(at('left'), 'utf8'), 'y'.repeat(20))
  assert.equal(statSync(at('left.1')).size, 990)
})

test('both files go where the log goes, and it goes on there', () => {
  using log = new TwoFiles(at('here'), 10)
  log.append(utf8('the first'))
  log.append(utf8('and more'))
  log.moveTo(at('there'))
  log.append(utf8('the third'))
  assert.deepEqual([existsSync(at('here')), existsSync(at('here.1'))], [false, false])
  assert.equal(readFileSync(at('there.1'), 'utf8'), 'and more')
  assert.equal(readFileSync(at('there'), 'utf8'), 'the third')
})

test('nothing is appended after the end', () => {
  const log = new TwoFiles(at('ended'), 10)
  log[Symbol.dispose]()
  log[Symbol.dispose]()
  assert.equal(log.append(utf8('x')), false)
})
