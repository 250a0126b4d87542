import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { createChunkSealer, openChunk } from '#lib/sealed'
import { createOpensslSealer } from './index.ts'

const key = new Uint8Array(randomBytes(32))
const fileId = new Uint8Array(randomBytes(16))

test('openssl seals byte for byte as the reference does, in any order and length', () => {
  const [fast, reference] = [createOpensslSealer(key, fileId), createChunkSealer(key, fileId)]
  for (const index of [7, 0, 2 ** 32 + 5, 1]) {
    for (const length of [0, 1, 15, 16, 17, 4095, 4096]) {
      const plain = new Uint8Array(randomBytes(length))
      const kept = Uint8Array.from(plain)
      const sealed = [fast, reference].map((sealer) => {
        const [out, tag] = [new Uint8Array(length), new Uint8Array(16)]
        sealer.seal(index, plain, out, tag)
        return { out, tag }
      })
      assert.deepEqual(sealed[0], sealed[1])
      assert.deepEqual(plain, kept)
      const { out, tag } = sealed[0] ?? assert.fail()
      assert.deepEqual(openChunk(key, fileId, index, out, tag), plain)
    }
  }
})

test('openssl refuses lengths that it would read or write past, and a closed sealer', () => {
  assert.throws(() => createOpensslSealer(key.subarray(1), fileId), RangeError)
  assert.throws(() => createOpensslSealer(key, fileId.subarray(1)), RangeError)
  const sealer = createOpensslSealer(key, fileId)
  const bytes = (length: number): Uint8Array => new Uint8Array(length)
  assert.throws(() => sealer.seal(0, bytes(9), bytes(8), bytes(16)), RangeError)
  assert.throws(() => sealer.seal(0, bytes(9), bytes(9), bytes(15)), RangeError)
  assert.throws(() => sealer.seal(-1, bytes(9), bytes(9), bytes(16)), RangeError)
  sealer.close()
  sealer.close()
  assert.throws(() => sealer.seal(0, bytes(9), bytes(9), bytes(16)), TypeError)
})
