import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { openNodeLog } from './node-log.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-node-log-'))
after(() => rmSync(folder, { recursive: true }))

const at = (name: string): string => join(folder, name)

function say(fd: number, text: string): void {
  writeSync(fd, text)
}

test('a log above its limit begins anew, and the one before it is kept', () => {
  writeFileSync(at('log'), 'x'.repeat(100))
  closeSync(openNodeLog(at('log'), 100))
  assert.ok(!existsSync(at('log.1')), 'it is not above')
  const older = openNodeLog(at('log'), 100)
  say(older, 'y')
  const newer = openNodeLog(at('log'), 100)
  say(newer, 'new')
  say(older, ' old')
  assert.equal(readFileSync(at('log'), 'utf8'), 'new')
  assert.equal(readFileSync(at('log.1'), 'utf8'), `${'x'.repeat(100)}y old`)
  for (const fd of [older, newer]) closeSync(fd)
  assert.equal(statSync(at('log')).mode & 0o777, 0o600)
})

test('of many processes that come at once one begins it anew, and no word of theirs is lost', async () => {
  const before = 'x'.repeat(200_000)
  writeFileSync(at('busy'), before)
  const program = `
    const { openNodeLog } = await import(${JSON.stringify(new URL('node-log.ts', import.meta.url).href)})
    const { writeSync } = await import('node:fs')
    await new Promise((go) => process.stdin.once('data', go))
    for (let i = 0; i < 50; i++) {
      const fd = openNodeLog(process.argv[1], 100_000)
      writeSync(fd, 'a word of ' + process.pid + '\\n')
    }
    process.exit()`
  const children = Array.from({ length: 4 }, () =>
    spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', program, at('busy')],
      { stdio: ['pipe', 'inherit', 'inherit'] },
    ),
  )
  for (const child of children) child.stdin?.write('go')
  const ends = await Promise.all(children.map((child) => once(child, 'exit')))
  assert.deepEqual(
    ends.map(([code]) => code),
    [0, 0, 0, 0],
  )
  const older = readFileSync(at('busy.1'), 'utf8')
  assert.ok(older.startsWith(before))
  const words = older.slice(before.length) + readFileSync(at('busy'), 'utf8')
  assert.equal(words.match(/^a word of \d+$/gm)?.length, 200)
})
