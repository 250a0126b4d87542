import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { readFileAtMost } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-input-'))
after(() => rmSync(folder, { recursive: true }))

/** Bytes that this process has read so far, by any call. */
function readSoFar(): number {
  return Number(/^rchar: (\d+)$/m.exec(readFileSync('/proc/self/io', 'latin1'))?.[1])
}

test('readFileAtMost() reads a file up to the limit, and none above it', async () => {
  const path = join(folder, 'five')
  writeFileSync(path, '12345')
  assert.deepEqual(await readFileAtMost(path, 6), utf8('12345'))
  assert.deepEqual(await readFileAtMost(path, 5), utf8('12345'))
  assert.equal(await readFileAtMost(path, 4), undefined)
  writeFileSync(path, '')
  assert.deepEqual(await readFileAtMost(path, 0), utf8(''))
})

test('readFileAtMost() reads nothing of a regular file that is too long', async () => {
  const path = join(folder, 'huge')
  writeFileSync(path, '')
  truncateSync(path, 2 ** 40)
  const before = readSoFar()
  assert.equal(await readFileAtMost(path, 16 * 1024 * 1024), undefined)
  assert.ok(readSoFar() - before < 4096)
})

test('readFileAtMost() stops at the limit of what has no length', async () => {
  const before = readSoFar()
  assert.equal(await readFileAtMost('/dev/zero', 100_000), undefined)
  assert.ok(readSoFar() - before < 110_000)
  assert.match(String(await readFileAtMost('/proc/self/comm', 100)), /\d/, 'length 0, with bytes')
})

test('readFileAtMost() reads a pipe to its end', async () => {
  const pipe = join(folder, 'pipe')
  execFileSync('mkfifo', [pipe])
  const [bytes] = await Promise.all([
    readFileAtMost(pipe, 10),
    import('node:fs/promises').then((fs) => fs.writeFile(pipe, 'through it')),
  ])
  assert.deepEqual(bytes, utf8('through it'))
})

test('readFileAtMost() fails by name for what is no file', async () => {
  await assert.rejects(readFileAtMost(folder, 10), { code: 'EISDIR' })
  await assert.rejects(readFileAtMost(join(folder, 'none'), 10), { code: 'ENOENT' })
})
