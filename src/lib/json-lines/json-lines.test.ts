import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concat } from '#lib/bytes'
import { jsonLine, jsonLines } from './index.ts'

async function* cut(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

test('jsonLines() gives the same values for any chunking and drops an unfinished line', async () => {
  const values = [{ a: 1 }, 'ü', [null, true]]
  const bytes = concat(...values.map(jsonLine), jsonLine({ cut: 1 }).subarray(0, 5))
  for (const size of [1, 2, 7, bytes.length]) {
    assert.deepEqual(await Array.fromAsync(jsonLines(cut(bytes, size), 100)), values)
  }
})

test('jsonLines() refuses a line over its limit before it has all of it', async () => {
  const endless = (async function* () {
    for (;;) yield new Uint8Array(50)
  })()
  await assert.rejects(Array.fromAsync(jsonLines(endless, 100)), { code: 'FORMAT_LIMIT' })
})
