import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readInRoot } from './index.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-in-root-'))
const root = join(folder, 'root')
mkdirSync(join(root, 'etc'), { recursive: true })
writeFileSync(join(folder, 'secret'), 'host')
writeFileSync(join(root, 'etc/real'), 'image')
after(() => rmSync(folder, { recursive: true }))

const read = (path: string): string | undefined => {
  const bytes = readInRoot(root, path, 100)
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes)
}

test('reads files of the root, also through links that stay inside', () => {
  assert.equal(read('etc/real'), 'image')
  symlinkSync('/etc/real', join(root, 'etc/absolute'))
  assert.equal(read('etc/absolute'), 'image')
  symlinkSync('../../../../etc/real', join(root, 'etc/dots'))
  assert.equal(read('etc/dots'), 'image')
})

test('links and dots never lead out of the root', () => {
  symlinkSync(join(folder, 'secret'), join(root, 'etc/out'))
  symlinkSync('../../secret', join(root, 'etc/up'))
  symlinkSync('/proc/self/root', join(root, 'etc/magic'))
  for (const path of ['etc/out', 'etc/up', '../secret', `../../..${folder}/secret`, 'etc/magic']) {
    assert.equal(read(path), undefined, path)
  }
})

test('what is missing is undefined; what is no file, or too long, throws and does not block', () => {
  assert.equal(read('etc/none'), undefined)
  assert.equal(read('none/none'), undefined)
  execFileSync('mkfifo', [join(root, 'etc/fifo')])
  assert.throws(() => read('etc/fifo'), { code: 'EINVAL' })
  assert.throws(() => read('etc'), { code: 'EINVAL' })
  writeFileSync(join(root, 'etc/long'), 'x'.repeat(101))
  assert.throws(() => read('etc/long'), { code: 'EFBIG' })
  assert.throws(() => read('etc/re\0al'), TypeError)
})
