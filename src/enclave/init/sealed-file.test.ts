import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import {
  closeSync,
  ftruncateSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import { CHUNK_SIZE, chunkOffset, createSealer, sealedLayout } from '#lib/sealed'
import { createOpensslOpener } from '#platform/chunk-cipher'
import { closeLayers, openLayers } from './open-layers.ts'
import { bufferLength, readSealed } from './sealed-file.ts'

const MAX = 3 * CHUNK_SIZE
const plain = new Uint8Array(randomBytes(5 * CHUNK_SIZE + 777))
const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-sealed-'))
const fd = openSync(join(folder, 'layer-0.sealed'), 'w+')
const sealer = createSealer({
  sink: { write: (offset, bytes) => void writeSync(fd, bytes, 0, bytes.length, offset) },
})
await sealer.append(plain)
const { key, root, header, encodedHeader } = await sealer.finish()
const layer = () => ({ key: key.slice(), root, header: encodedHeader, file: 'layer-0.sealed' })
const [opened] = openLayers({ spool: folder, cache: folder }, [layer()])
assert.ok(opened)
const file = opened
const opener = createOpensslOpener(key, header.fileId)
const buffer = new Uint8Array(bufferLength(MAX))
after(() => {
  opener.close()
  closeLayers([file])
  closeSync(fd)
  rmSync(folder, { recursive: true })
})

function flip(offset: number): void {
  const byte = new Uint8Array(1)
  readSync(fd, byte, 0, 1, offset)
  byte[0] = (byte[0] ?? 0) ^ 1
  writeSync(fd, byte, 0, 1, offset)
}

test('any read gives the bytes that were sealed, cut at the end', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: plain.length + 10 }),
      fc.integer({ min: 0, max: MAX }),
      (offset, size) => {
        const outcome = readSealed(file, opener, buffer, offset, size)
        assert.ok(outcome.ok)
        assert.deepEqual(outcome.data, plain.subarray(offset, offset + size))
      },
    ),
    { numRuns: 300 },
  )
})

test('a bad chunk fails every read that touches it, names it, leaves no plaintext, and no other', () => {
  flip(chunkOffset(2) + 9)
  try {
    const whole = readSealed(file, opener, buffer, CHUNK_SIZE, MAX)
    assert.deepEqual(whole, { ok: false, chunk: 2 })
    assert.ok(buffer.subarray(0, MAX).every((byte) => byte === 0))
    assert.equal(readSealed(file, opener, buffer, 3 * CHUNK_SIZE - 1, 1).ok, false)
    assert.equal(readSealed(file, opener, buffer, 3 * CHUNK_SIZE, CHUNK_SIZE).ok, true)
    assert.equal(readSealed(file, opener, buffer, 0, 2 * CHUNK_SIZE).ok, true)
  } finally {
    flip(chunkOffset(2) + 9)
  }
})

test('openLayers() refuses a changed header, table, root, length, and what is no plain file', () => {
  const { tagsOffset, fileLength } = sealedLayout(header)
  const refused = (what: string, change: Partial<ReturnType<typeof layer>> = {}): void => {
    const open = (): unknown =>
      openLayers({ spool: folder, cache: folder }, [{ ...layer(), ...change }])
    assert.throws(open, { code: /^SEALED_(MISMATCH|FORMAT)$/ }, what)
  }
  for (const offset of [3, 30, 4000, tagsOffset, fileLength - 1]) {
    flip(offset)
    refused(`bit at ${offset}`)
    flip(offset)
  }
  refused('root', { root: new Uint8Array(32) })
  refused('missing', { file: 'none' })
  writeSync(fd, new Uint8Array(1), 0, 1, fileLength)
  refused('longer')
  ftruncateSync(fd, fileLength)
  closeLayers(openLayers({ spool: folder, cache: folder }, [layer()]))
})

test('a file that was cut after it was opened fails instead of giving zeros', () => {
  const { fileLength } = sealedLayout(header)
  const tail = new Uint8Array(fileLength)
  readSync(fd, tail, 0, fileLength, 0)
  ftruncateSync(fd, chunkOffset(1) + 100)
  assert.deepEqual(readSealed(file, opener, buffer, CHUNK_SIZE, 10), { ok: false, chunk: 1 })
  assert.equal(readSealed(file, opener, buffer, 0, 10).ok, true)
  writeSync(fd, tail, 0, fileLength, 0)
})
