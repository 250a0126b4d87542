import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { fromHex, toHex } from '#lib/bytes'
import {
  CHUNK_SIZE,
  chunkLength,
  chunkOffset,
  chunkSpan,
  createSealer,
  encodeHeader,
  HEADER_BLOCK,
  type OpenOptions,
  openChunk,
  openSealed,
  parseHeader,
  parseHeaderBlock,
  readSealed,
  type SealedSecrets,
  type SealedSink,
  sealedLayout,
} from './index.ts'

interface SealedFile {
  readonly bytes: Uint8Array
  readonly secrets: SealedSecrets
}

class MemorySink implements SealedSink {
  bytes = new Uint8Array(0)

  write(offset: number, bytes: Uint8Array): void {
    if (this.bytes.length < offset + bytes.length) {
      const grown = new Uint8Array(offset + bytes.length)
      grown.set(this.bytes)
      this.bytes = grown
    }
    this.bytes.set(bytes, offset)
  }
}

async function seal(image: Uint8Array, cuts: readonly number[] = []): Promise<SealedFile> {
  const sink = new MemorySink()
  const sealer = createSealer({ sink })
  let at = 0
  for (const cut of cuts) {
    await sealer.append(image.subarray(at, at + cut))
    at += cut
  }
  await sealer.append(image.subarray(Math.min(at, image.length)))
  const secrets = await sealer.finish()
  return { bytes: sink.bytes, secrets }
}

function openOptions({ bytes, secrets }: SealedFile): OpenOptions {
  const layout = sealedLayout(secrets.header)
  return {
    encodedHeader: secrets.encodedHeader,
    root: secrets.root,
    key: secrets.key,
    tags: bytes.slice(layout.tagsOffset, layout.tagsOffset + layout.tagsLength),
    fileLength: bytes.length,
  }
}

async function readAll(file: SealedFile): Promise<Uint8Array> {
  const image = openSealed(openOptions(file))
  return readSealed(image, source(file.bytes), 0, image.header.imageLength)
}

function source(bytes: Uint8Array) {
  return { read: (offset: number, length: number) => bytes.slice(offset, offset + length) }
}

const pattern = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => i % 251)

test('a sealed layer matches the vector byte for byte', async () => {
  const path = new URL('../../../test/vectors/sealed-layer/two-chunks.json', import.meta.url)
  const vector = JSON.parse(readFileSync(path, 'utf8'))
  const sink = new MemorySink()
  const random = (length: number) => fromHex(length === 32 ? vector.key : vector.fileId, 'random')
  const sealer = createSealer({ sink, random })
  await sealer.append(pattern(vector.imageLength))
  const secrets = await sealer.finish()
  assert.equal(toHex(secrets.encodedHeader), vector.header)
  assert.equal(toHex(secrets.root), vector.root)
  assert.equal(sink.bytes.length, vector.fileLength)
  const tags = sink.bytes.subarray(sealedLayout(secrets.header).tagsOffset)
  assert.equal(toHex(tags), vector.tags.join(''))
  assert.equal(createHash('sha256').update(sink.bytes).digest('hex'), vector.fileSha256)
})

test('createSealer() gives the same image back for any length and any cuts', async () => {
  const lengths = fc.oneof(
    fc.integer({ min: 1, max: 3 * CHUNK_SIZE }),
    fc.constantFrom(
      1,
      CHUNK_SIZE - 1,
      CHUNK_SIZE,
      CHUNK_SIZE + 1,
      17 * CHUNK_SIZE,
      33 * CHUNK_SIZE + 5,
    ),
  )
  await fc.assert(
    fc.asyncProperty(
      lengths,
      fc.array(fc.integer({ min: 0, max: 40_000 }), { maxLength: 8 }),
      async (length, cuts) => {
        const image = pattern(length)
        assert.deepEqual(await readAll(await seal(image, cuts)), image)
      },
    ),
    { numRuns: 40 },
  )
})

test('createSealer() waits for a slow sink and loses nothing', async () => {
  const sink = new MemorySink()
  const slow: SealedSink = {
    write: async (offset, bytes) => {
      await Promise.resolve()
      sink.write(offset, bytes)
    },
  }
  const sealer = createSealer({ sink: slow })
  const image = pattern(70 * CHUNK_SIZE + 3)
  await sealer.append(image)
  const secrets = await sealer.finish()
  assert.deepEqual(await readAll({ bytes: sink.bytes, secrets }), image)
})

test('readSealed() agrees with a plain array at any offset and length', async () => {
  const image = pattern(2 * CHUNK_SIZE + 777)
  const file = await seal(image)
  const opened = openSealed(openOptions(file))
  await fc.assert(
    fc.asyncProperty(fc.nat(3 * CHUNK_SIZE), fc.nat(3 * CHUNK_SIZE), async (offset, length) => {
      const got = await readSealed(opened, source(file.bytes), offset, length)
      assert.deepEqual(got, image.subarray(offset, offset + length))
    }),
    { numRuns: 60 },
  )
  assert.equal(chunkSpan(opened.header, image.length, 1).count, 0)
})

test('the first chunk can be rewritten until the end, and nothing else', async () => {
  const sink = new MemorySink()
  const sealer = createSealer({ sink })
  await sealer.append(pattern(CHUNK_SIZE + 1))
  sealer.rewrite(1024, Uint8Array.of(9, 9))
  assert.throws(() => sealer.rewrite(CHUNK_SIZE - 1, Uint8Array.of(1, 2)), RangeError)
  const secrets = await sealer.finish()
  const image = await readAll({ bytes: sink.bytes, secrets })
  assert.deepEqual([...image.subarray(1023, 1027)], [1023 % 251, 9, 9, 1026 % 251])
})

test('a sealer has an end: no chunk is sealed twice under one key', async () => {
  const sealer = createSealer({ sink: new MemorySink() })
  await sealer.append(pattern(10))
  await sealer.finish()
  assert.throws(() => sealer.append(pattern(1)), { code: 'SEALED_STATE' })
  await assert.rejects(sealer.finish(), { code: 'SEALED_STATE' })
  const aborted = createSealer({ sink: new MemorySink() })
  aborted.abort()
  assert.throws(() => aborted.append(pattern(1)), { code: 'SEALED_STATE' })
})

test('a sealer ends with the first write that fails', async () => {
  const broken: SealedSink = {
    write: () => {
      throw new Error('disk is full')
    },
  }
  const sealer = createSealer({ sink: broken })
  assert.throws(() => sealer.append(pattern(70 * CHUNK_SIZE)), /disk is full/)
  assert.throws(() => sealer.append(pattern(1)), { code: 'SEALED_STATE' })
})

test('every attempt has its own key and file id', async () => {
  const [a, b] = [await seal(pattern(100)), await seal(pattern(100))]
  assert.notDeepEqual(a.secrets.key, b.secrets.key)
  assert.notDeepEqual(a.secrets.header.fileId, b.secrets.header.fileId)
  const other = openSealed({ ...openOptions(a) })
  await assert.rejects(readSealed(other, source(b.bytes), 0, 100), { code: 'SEALED_CHUNK' })
})

test('openSealed() refuses any other header, tag table, root, key length and file length', async () => {
  const file = await seal(pattern(2 * CHUNK_SIZE))
  const good = openOptions(file)
  for (let at = 0; at < good.encodedHeader.length; at++) {
    const encodedHeader = good.encodedHeader.slice()
    encodedHeader[at] = (encodedHeader[at] ?? 0) ^ 1
    assert.throws(
      () => openSealed({ ...good, encodedHeader }),
      (error: { code?: string }) =>
        ['SEALED_FORMAT', 'SEALED_MISMATCH', 'FORMAT_LIMIT'].includes(error.code ?? ''),
    )
  }
  for (let at = 0; at < good.tags.length; at++) {
    const tags = good.tags.slice()
    tags[at] = (tags[at] ?? 0) ^ 0x80
    assert.throws(() => openSealed({ ...good, tags }), { code: 'SEALED_MISMATCH' })
  }
  const root = good.root.slice()
  root[31] = (root[31] ?? 0) ^ 1
  assert.throws(() => openSealed({ ...good, root }), { code: 'SEALED_MISMATCH' })
  assert.throws(() => openSealed({ ...good, root: root.subarray(0, 31) }), {
    code: 'SEALED_MISMATCH',
  })
  for (const fileLength of [good.fileLength - 1, good.fileLength + 1, 0]) {
    assert.throws(() => openSealed({ ...good, fileLength }), { code: 'SEALED_MISMATCH' })
  }
  assert.throws(() => openSealed({ ...good, tags: good.tags.subarray(16) }), {
    code: 'SEALED_MISMATCH',
  })
  assert.throws(() => openSealed({ ...good, key: new Uint8Array(16) }), RangeError)
})

test('a flipped bit, a swap, a cut or a foreign key fails its chunk and no other', async () => {
  const file = await seal(pattern(3 * CHUNK_SIZE + 100))
  const image = openSealed(openOptions(file))
  const chunkOf = (index: number): Uint8Array =>
    file.bytes.slice(chunkOffset(index), chunkOffset(index) + chunkLength(image.header, index))
  for (const at of [0, 1, 777, CHUNK_SIZE - 1]) {
    const bad = chunkOf(1)
    bad[at] = (bad[at] ?? 0) ^ 1
    assert.throws(() => image.open(1, bad), { code: 'SEALED_CHUNK' })
  }
  assert.throws(() => image.open(1, chunkOf(2)), { code: 'SEALED_CHUNK' })
  assert.throws(() => image.open(1, new Uint8Array(CHUNK_SIZE)), { code: 'SEALED_CHUNK' })
  assert.throws(() => image.open(3, chunkOf(3).subarray(1)), { code: 'SEALED_CHUNK' })
  assert.throws(() => image.open(4, new Uint8Array(1)), RangeError)
  const good = chunkOf(2)
  image.open(2, good)
  assert.deepEqual(good, pattern(3 * CHUNK_SIZE).subarray(2 * CHUNK_SIZE))
  const foreign = openSealed({ ...openOptions(file), key: new Uint8Array(32) })
  assert.throws(() => foreign.open(0, chunkOf(0)), { code: 'SEALED_CHUNK' })
  await assert.rejects(
    readSealed(image, source(file.bytes.subarray(0, 3 * CHUNK_SIZE)), 0, 3 * CHUNK_SIZE),
    {
      code: 'SEALED_CHUNK',
    },
  )
})

test('openChunk() refuses a tag that is shorter than 16 bytes', async () => {
  const { bytes, secrets } = await seal(pattern(50))
  const { tagsOffset } = sealedLayout(secrets.header)
  const chunk = bytes.subarray(HEADER_BLOCK, HEADER_BLOCK + 50)
  const fileId = secrets.header.fileId
  const open = (tag: Uint8Array) => openChunk(secrets.key, fileId, 0, chunk, tag)
  assert.deepEqual(open(bytes.subarray(tagsOffset)), pattern(50))
  assert.equal(open(bytes.subarray(tagsOffset, tagsOffset + 12)), undefined)
})

test('parseHeader() reads what encodeHeader() wrote and refuses a cut at every offset', () => {
  const header = {
    imageLength: 5000,
    chunkCount: 2,
    fileId: pattern(16),
    layerId: pattern(32),
  }
  const encoded = encodeHeader(header)
  assert.deepEqual(parseHeader(encoded), header)
  for (let length = 0; length < encoded.length; length++) {
    assert.throws(() => parseHeader(encoded.subarray(0, length)), { code: 'FORMAT_TRUNCATED' })
  }
  assert.throws(() => parseHeader(Uint8Array.from([...encoded, 0])), { code: 'FORMAT_TRAILING' })
  for (const [at, value] of [
    [9, 2],
    [10, 2],
    [11, 14],
    [23, 3],
  ] as const) {
    const bad = encoded.slice()
    bad[at] = value
    assert.throws(() => parseHeader(bad), { code: 'SEALED_FORMAT' })
  }
  assert.throws(() => encodeHeader({ ...header, chunkCount: 3 }), RangeError)
})

test('parseHeaderBlock() refuses padding that is not zero and any other length', async () => {
  const { bytes, secrets } = await seal(pattern(1))
  const block = bytes.slice(0, HEADER_BLOCK)
  assert.deepEqual(parseHeaderBlock(block), secrets.header)
  assert.throws(() => parseHeaderBlock(block.subarray(1)), { code: 'SEALED_FORMAT' })
  block[HEADER_BLOCK - 1] = 1
  assert.throws(() => parseHeaderBlock(block), { code: 'SEALED_FORMAT' })
})
