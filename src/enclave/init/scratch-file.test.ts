import assert from 'node:assert/strict'
import { closeSync, fstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createScratch, destroyScratch } from './scratch-file.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-scratch-file-'))
after(() => rmSync(folder, { recursive: true }))

test('a scratch has no name and a key of its own, and both are gone at its end', () => {
  const [share, other] = [createScratch(folder, 2 ** 24), createScratch(folder, 2 ** 24)]
  assert.deepEqual(readdirSync(folder), [])
  assert.notDeepEqual(share.key, other.key)
  for (const each of [share, other]) {
    destroyScratch(each)
    assert.deepEqual(each.key, new Uint8Array(32))
    assert.throws(() => fstatSync(each.fd), { code: 'EBADF' })
  }
})

test('a disk that answers the close with an error keeps neither the key nor what comes after it', () => {
  const share = createScratch(folder, 2 ** 24)
  closeSync(share.fd)
  destroyScratch(share)
  assert.deepEqual(share.key, new Uint8Array(32))
})
