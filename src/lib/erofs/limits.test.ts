import assert from 'node:assert/strict'
import { test } from 'node:test'
import { buildImage } from '../../../test/support/erofs-image.ts'
import { MAX_TAIL } from './format.ts'
import { EROFS_LIMITS, type ErofsLimits, type ErofsWriter } from './index.ts'

/** `build` gets through, and with one limit lowered by one is refused. */
async function limits(
  limit: Partial<ErofsLimits>,
  build: (writer: ErofsWriter) => void | Promise<void>,
): Promise<void> {
  await buildImage(build, limit)
  const lower = Object.fromEntries(Object.entries(limit).map(([key, value]) => [key, value - 1]))
  await assert.rejects(buildImage(build, lower), { code: 'EROFS_LIMIT' })
}

test('nodes are limited, also where each replaces the one before', async () => {
  await limits({ nodes: 101 }, (writer) => {
    for (let i = 0; i < 100; i++) writer.addFifo('one-name')
  })
})

test('the bytes of all names are limited', async () => {
  await limits({ names: 2 + 100 * 255 }, (writer) => {
    for (let i = 0; i < 100; i++) writer.addFifo(`${i}`.padStart(255, 'n'))
  })
})

test('the bytes of all attributes are limited', async () => {
  const xattrs = [{ name: 'user.a', value: new Uint8Array(3) }]
  await limits({ xattrs: 10 * 20 }, (writer) => {
    for (let i = 0; i < 10; i++) writer.addFifo(`${i}`, { xattrs })
  })
})

test('hard links that wait for their target are limited', async () => {
  await limits({ pendingLinks: 50 }, async (writer) => {
    for (let i = 0; i < 50; i++) writer.addHardlink(`${i}`, 'later')
    await writer.addFile('later', {}, 0, new Uint8Array(0))
  })
})

test('the bytes of targets that hard links wait for are limited', async () => {
  await limits({ pendingBytes: 50 * 'later'.length }, async (writer) => {
    for (let i = 0; i < 50; i++) writer.addHardlink(`${i}`, 'later')
    await writer.addFile('later', {}, 0, new Uint8Array(0))
  })
})

test('a long chain of hard links, last link first, is resolved once', async () => {
  const { summary } = await buildImage(async (writer) => {
    for (let i = 3_000; i > 0; i--) writer.addHardlink(`${i}`, `${i - 1}`)
    await writer.addFile('0', {}, 0, new Uint8Array(0))
  })
  assert.equal(summary.inodes, 2)
})

test('tails above their budget go to blocks of their own', async () => {
  const size = async (count: number): Promise<number> => {
    const build = async (writer: ErofsWriter): Promise<void> => {
      for (let i = 0; i < count; i++)
        await writer.addFile('f', {}, MAX_TAIL, new Uint8Array(MAX_TAIL))
    }
    return (await buildImage(build, { tails: 10 * MAX_TAIL })).summary.size
  }
  assert.equal(await size(10), 8192)
  assert.equal(await size(13), 8192 + 3 * 4096)
})

test('the limits are those of the page', () => {
  const expected = {
    nodes: 1e6,
    names: 2 ** 26,
    xattrs: 2 ** 25,
    tails: 2 ** 24,
    pendingLinks: 65_536,
    pendingBytes: 2 ** 24,
  }
  assert.deepEqual(EROFS_LIMITS, expected)
})
