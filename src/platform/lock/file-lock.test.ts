import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, unlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockFile, tryLockFile } from './index.ts'

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
