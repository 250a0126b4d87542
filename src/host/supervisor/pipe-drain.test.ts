import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, openSync, writeSync } from 'node:fs'
import { test } from 'node:test'
import { openPipe } from '#platform/pipe'
import { PipeDrain } from './pipe-drain.ts'

const LONG = 600_000

test('a drain hands over all that was written, and resolves at the end of the pipe', async () => {
  const pipe = openPipe()
  const words = Buffer.alloc(50_000, 'words ')
  writeSync(pipe.writeFd, words)
  const got: Uint8Array[] = []
  const drain = new PipeDrain(pipe, async (data) => void got.push(data))
  await drain.end(LONG)
  await drain.end(LONG)
  assert.deepEqual(Buffer.concat(got), words)
})

test('a drain whose pipe somebody else holds open ends after its patience, and closes it', async () => {
  const pipe = openPipe()
  const held = openSync(`/proc/self/fd/${pipe.writeFd}`, 'w')
  try {
    writeSync(held, 'the last word')
    const { promise, resolve } = Promise.withResolvers<string>()
    const drain = new PipeDrain(pipe, async (data) => resolve(Buffer.from(data).toString()))
    assert.equal(await promise, 'the last word')
    const closed = once(pipe.read, 'close')
    await drain.end(1)
    await closed
    assert.throws(() => writeSync(held, 'more'), { code: 'EPIPE' })
  } finally {
    closeSync(held)
  }
})

test('a drain says that what was read could not be kept', async () => {
  const pipe = openPipe()
  writeSync(pipe.writeFd, 'words')
  const drain = new PipeDrain(pipe, async () => {
    throw new Error('the disk is full')
  })
  await assert.rejects(drain.end(LONG), /the disk is full/)
})
