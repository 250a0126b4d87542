import assert from 'node:assert/strict'
import { closeSync, fstatSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { scratchBuffer } from '#lib/scratch'
import { createScratch, destroyScratch, emptyScratch, openScratch } from './scratch-file.ts'

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

test('a scratch that was emptied reads as zeros, holds no space, and can be written again', () => {
  const share = createScratch(folder, 2 ** 24)
  const store = openScratch(share, 1)
  const read = (at: number): ReturnType<typeof store.read> =>
    store.read(new Uint8Array(scratchBuffer(4096)), at, 4096)
  for (const at of [0, 2 ** 23, 2 ** 24 - 4096]) {
    assert.ok(store.write(new Uint8Array(4096).fill(7), at).ok)
  }
  emptyScratch(share)
  assert.equal(fstatSync(share.fd).blocks, 0)
  for (const at of [0, 2 ** 23, 2 ** 24 - 4096]) {
    assert.deepEqual(read(at), { ok: true, data: new Uint8Array(4096) })
  }
  assert.ok(store.write(new Uint8Array(4096).fill(9), 2 ** 23).ok)
  assert.deepEqual(read(2 ** 23), { ok: true, data: new Uint8Array(4096).fill(9) })
  store.close()
  destroyScratch(share)
})
