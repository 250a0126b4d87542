import assert from 'node:assert/strict'
import { closeSync, mkdtempSync, openSync, rmSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockFile, tryLockFile, tryLockOpenFile } from './index.ts'

test('a file lock is shared by many or held by one, and ends with its descriptor', () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-lock-'))
  try {
    const path = join(folder, 'users')
    const [a, b] = [lockFile(path, 'shared'), lockFile(path, 'shared')]
    assert.equal(tryLockFile(path, 'exclusive'), undefined)
    a[Symbol.dispose]()
    b[Symbol.dispose]()
    using one = tryLockFile(path, 'exclusive')
    assert.ok(one)
    assert.equal(tryLockFile(path, 'shared'), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('a lock on a file that its holder removed is not one', () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-lock-'))
  try {
    const path = join(folder, 'mutex')
    using first = lockFile(path, 'exclusive')
    assert.ok(first)
    unlinkSync(path)
    using second = tryLockFile(path, 'exclusive')
    assert.ok(second, 'the path is free again')
    assert.equal(tryLockFile(path, 'exclusive'), undefined)
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('an open file is locked without waiting, and only while its name leads to it', () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-lock-'))
  const path = join(folder, 'data')
  writeFileSync(path, 'x')
  const [a, b, c] = [openSync(path, 'r'), openSync(path, 'r'), openSync(path, 'r')]
  try {
    assert.ok(tryLockOpenFile(a, path, 'shared'))
    assert.ok(tryLockOpenFile(b, path, 'shared'))
    assert.ok(!tryLockOpenFile(c, path, 'exclusive'))
    closeSync(b)
    assert.ok(tryLockOpenFile(a, path, 'exclusive'), 'a lock of one’s own can be changed')
    assert.ok(!tryLockOpenFile(c, path, 'shared'))
    unlinkSync(path)
    closeSync(a)
    assert.ok(!tryLockOpenFile(c, path, 'shared'), 'the name leads nowhere')
    writeFileSync(path, 'y')
    assert.ok(!tryLockOpenFile(c, path, 'shared'), 'the name leads to another file')
  } finally {
    closeSync(c)
    rmSync(folder, { recursive: true })
  }
})
