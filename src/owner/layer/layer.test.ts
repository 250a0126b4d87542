import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { concat, utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { CHUNK_SIZE, chunkOffset, HEADER_BLOCK, HEADER_LENGTH, sealedRoot } from '#lib/sealed'
import { tarArchive, tarEntry } from '../../../test/support/tar-builder.ts'
import { catCommand } from './cat-command.ts'
import { inspectCommand, type LayerDocument } from './inspect-command.ts'
import { encodeLayerKey, parseLayerKey } from './layer-key.ts'
import { type SealDocument, sealCommand } from './seal-command.ts'
import { type LayerVerdict, verifyCommand } from './verify-command.ts'

let dir = ''
const at = (name: string): string => join(dir, name)
const BIG = Uint8Array.from({ length: 65_636 }, (_, i) => i % 251)
const ARCHIVE = tarArchive(
  tarEntry({ name: 'dir/hello', data: 'hello\n' }),
  tarEntry({ name: 'big', data: BIG }),
  tarEntry({ name: 'link', type: '2', link: 'dir/hello' }),
  tarEntry({ name: 'pipe', type: '6' }),
  tarEntry({ name: '.wh.deleted' }),
  tarEntry({ name: 'empty' }),
)

function context(json: boolean, signal: AbortSignal): CommandContext {
  const nothing = () => {}
  return {
    places: {
      ...{ root: '', state: '', kbsData: '', kbsUrl: undefined, kbsCa: undefined, initData: '' },
      adminTokenFile: undefined,
    },
    ...{
      pool: { size: 0, linger: 0 },
      cache: { maxSize: 0 },
      env: {},
      signal,
      json,
      quiet: true,
      verbose: false,
    },
    program: { dist: '', node: '', version: 'test' },
    ...{ stdout: nothing, note: nothing, warn: nothing, log: nothing },
    progress: () => ({ update: nothing, done: nothing, fail: nothing }),
    stdin: async () => new Uint8Array(0),
  }
}

function line(
  operands: readonly string[],
  flags: Readonly<Record<string, string | true>> = {},
): CommandInput {
  return {
    operands,
    text: (flag) => (typeof flags[flag] === 'string' ? String(flags[flag]) : undefined),
    flag: (flag) => flags[flag] === true,
    list: () => [],
  }
}

const still = new AbortController().signal
const open = context(false, still)

async function seal(archive: Uint8Array, name: string): Promise<SealDocument> {
  await writeFile(at('archive'), archive)
  const flags = { 'key-out': at(`${name}.key`) }
  const { document } = await sealCommand(open, line([at('archive'), at(name)], flags))
  return document as SealDocument
}

async function verify(file: string, key: string): Promise<LayerVerdict> {
  const { document, exitCode } = await verifyCommand(open, line([at(file)], { key: at(key) }))
  const verdict = document as LayerVerdict
  assert.equal(exitCode, verdict.ok ? 0 : 1)
  assert.equal(verdict.code === undefined, verdict.ok)
  return verdict
}

async function cat(file: string, path: string, key: string): Promise<Uint8Array> {
  const { stream } = await catCommand(open, line([at(file), path], { key: at(key) }))
  const parts: Uint8Array[] = []
  for await (const part of stream as NonNullable<Outcome['stream']>) parts.push(part)
  return concat(...parts)
}

/** Writes an edited copy of the sealed file. */
async function edited(name: string, edit: (bytes: Uint8Array) => Uint8Array): Promise<string> {
  await writeFile(at(name), edit(new Uint8Array(await readFile(at('sealed')))))
  return name
}

const flip =
  (offset: number) =>
  (bytes: Uint8Array): Uint8Array => {
    bytes[offset] = (bytes[offset] as number) ^ 0x10
    return bytes
  }

let made: SealDocument

before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'enclave-cc-layer-'))
  made = await seal(ARCHIVE, 'sealed')
  await writeFile(at('raw.key'), parseLayerKey(await readFile(at('sealed.key'))).key)
})

after(() => rm(dir, { recursive: true, force: true }))

test('a bomb is refused before all of it was decompressed once, and leaves nothing', async () => {
  const member = gzipSync(new Uint8Array(1024 * 1024), { level: 9 })
  await writeFile(at('bomb'), concat(...Array.from({ length: 1000 }, () => member)))
  const steps: string[] = []
  let most = 0
  const watched: CommandContext = {
    ...open,
    progress: (label) => ({
      update: (done) => {
        most = done
      },
      done: () => steps.push(`${label}: done`),
      fail: () => steps.push(`${label}: failed`),
    }),
  }
  const sealing = line([at('bomb'), at('bomb.sealed')], { 'key-out': at('bomb.key') })
  await assert.rejects(sealCommand(watched, sealing), { code: 'LAYER_TOO_LARGE' })
  assert.deepEqual(steps, ['hashing the archive: failed'])
  assert.ok(most > 0 && most <= 256 * 1024 * 1024)
  assert.deepEqual(
    (await readdir(dir)).filter((name) => name.startsWith('bomb')),
    ['bomb'],
  )
})

test('a sealed archive verifies, and its files read back, compressed or not', async () => {
  for (const [name, archive] of [
    ['plain', ARCHIVE],
    ['gzip', gzipSync(ARCHIVE)],
    ['zstd', zstdCompressSync(ARCHIVE)],
  ] as const) {
    const document = await seal(archive, name)
    assert.equal(document.diffId, made.diffId)
    assert.deepEqual(document.omitted, { devices: 0, xattrs: 0 })
    assert.equal((await stat(at(`${name}.key`))).mode & 0o777, 0o600)
    const verdict = await verify(name, `${name}.key`)
    const { ok, chunks, checkedChunks, badChunks, rootPinned } = verdict
    assert.deepEqual(
      { ok, chunks, checkedChunks, badChunks, rootPinned },
      {
        ...{ ok: true, chunks: made.chunks, checkedChunks: made.chunks, badChunks: [] },
        rootPinned: true,
      },
    )
    assert.deepEqual(await cat(name, 'big', `${name}.key`), BIG)
    assert.deepEqual(await cat(name, '/link', `${name}.key`), utf8('hello\n'))
    assert.deepEqual(await cat(name, 'empty', `${name}.key`), new Uint8Array(0))
  }
})

test('layer inspect shows what verify pins, without a key', async () => {
  const { document } = await inspectCommand(line([at('sealed')]))
  const { root, chunks, chunkSize, version, plainSize, fileId, ...rest } = document as LayerDocument
  assert.deepEqual(rest, {})
  assert.deepEqual([version, chunkSize, chunks], [1, CHUNK_SIZE, made.chunks])
  assert.equal(plainSize, made.plainSize)
  assert.equal(root, made.root)
  assert.match(fileId, /^[0-9a-f]{32}$/)
  const key = parseLayerKey(await readFile(at('sealed.key')))
  assert.equal(Buffer.from(key.root as Uint8Array).toString('hex'), root)
})

test('layer verify finds each flipped byte of the header, and a sample of every other region', async () => {
  const size = (await stat(at('sealed'))).size
  const tagsAt = size - 16 * made.chunks
  const header = Array.from({ length: HEADER_LENGTH }, (_, i) => i)
  const tags = Array.from({ length: size - tagsAt }, (_, i) => tagsAt + i)
  const data = Array.from({ length: 40 }, (_, i) => HEADER_BLOCK + i * 1733)
  const places = [...header, HEADER_LENGTH, 1000, HEADER_BLOCK - 1, ...data, tagsAt - 1, ...tags]
  for (const offset of places) {
    const verdict = await verify(await edited('flipped', flip(offset)), 'sealed.key')
    assert.equal(verdict.ok, false, `byte ${offset}`)
    if (offset >= HEADER_BLOCK) {
      const chunk =
        offset < tagsAt
          ? Math.floor((offset - HEADER_BLOCK) / CHUNK_SIZE)
          : Math.floor((offset - tagsAt) / 16)
      assert.deepEqual(verdict.badChunks, [chunk], `byte ${offset}`)
      assert.equal(verdict.code, offset < tagsAt ? 'SEALED_CHUNK' : 'SEALED_MISMATCH')
    }
    // The layer id is in the root and nowhere else: docs/formats/layer-key.md.
    const alone = await verify('flipped', 'raw.key')
    assert.equal(alone.ok, offset >= 40 && offset < HEADER_LENGTH, `byte ${offset}, key alone`)
  }
})

test('layer verify finds chunks that were swapped, with their tags or without', async () => {
  const tagsAt = (await stat(at('sealed'))).size - 16 * made.chunks
  const swap = (a: number, b: number, length: number) => (bytes: Uint8Array) => {
    const kept = Uint8Array.from(bytes.subarray(a, a + length))
    bytes.copyWithin(a, b, b + length)
    bytes.set(kept, b)
    return bytes
  }
  const chunks = swap(chunkOffset(1), chunkOffset(2), CHUNK_SIZE)
  const tags = swap(tagsAt + 16, tagsAt + 32, 16)
  const first = await verify(await edited('swapped', chunks), 'sealed.key')
  assert.deepEqual([first.code, first.badChunks], ['SEALED_CHUNK', [1, 2]])
  await edited('swapped', (bytes) => tags(chunks(bytes)))
  const both = await verify('swapped', 'sealed.key')
  assert.deepEqual([both.code, both.badChunks], ['SEALED_MISMATCH', [1, 2]])
  assert.deepEqual((await verify('swapped', 'raw.key')).badChunks, [1, 2])
})

test('layer verify complains about every other length, and still checks what is there', async () => {
  const longer = await edited('longer', (bytes) => concat(bytes, Uint8Array.of(0)))
  const verdict = await verify(longer, 'sealed.key')
  assert.deepEqual([verdict.code, verdict.checkedChunks], ['SEALED_MISMATCH', made.chunks])
  assert.match(verdict.message ?? '', /bytes after its end/)
  for (const cut of [1, 16, 80, 5000, 60_000]) {
    const name = await edited('cut', (bytes) => bytes.subarray(0, bytes.length - cut))
    const { code, checkedChunks } = await verify(name, 'sealed.key')
    assert.deepEqual([code, checkedChunks], ['SEALED_MISMATCH', 0])
  }
  for (const length of [0, 1, 71, 72, 4095]) {
    const name = await edited('cut', (bytes) => bytes.subarray(0, length))
    const { code, chunks } = await verify(name, 'sealed.key')
    assert.deepEqual([code, chunks], ['SEALED_FORMAT', 0], `${length}`)
  }
  await assert.rejects(inspectCommand(line([at(longer)])), { code: 'SEALED_MISMATCH' })
  await assert.rejects(cat(longer, 'big', 'sealed.key'), { code: 'SEALED_MISMATCH' })
})

test('a cut at a chunk border with a header that agrees is found with the key alone', async () => {
  const name = await edited('shorter', (bytes) => {
    const [image, count] = [4 * CHUNK_SIZE, 4]
    const tagsAt = bytes.length - 16 * made.chunks
    const short = concat(
      bytes.subarray(0, HEADER_BLOCK + image),
      bytes.subarray(tagsAt, tagsAt + 16 * count),
    )
    const view = new DataView(short.buffer)
    view.setBigUint64(12, BigInt(image))
    view.setUint32(20, count)
    return short
  })
  const verdict = await verify(name, 'raw.key')
  assert.equal(verdict.code, 'SEALED_MISMATCH')
  // All its chunks are genuine: only the image inside knows that some are missing.
  assert.deepEqual([verdict.checkedChunks, verdict.badChunks], [4, []])
  assert.equal((await verify(name, 'sealed.key')).ok, false)
  await assert.rejects(cat(name, 'dir/hello', 'raw.key'), { code: 'EROFS_INVALID' })
})

test('another layer sealed from the same archive gives neither chunks nor tag table', async () => {
  await seal(ARCHIVE, 'other')
  const other = new Uint8Array(await readFile(at('other')))
  const tagsAt = other.length - 16 * made.chunks
  assert.equal((await verify('other', 'sealed.key')).badChunkCount, made.chunks)
  assert.equal((await verify('other', 'raw.key')).badChunkCount, made.chunks)
  const table = await edited('table', (bytes) =>
    concat(bytes.subarray(0, tagsAt), other.subarray(tagsAt)),
  )
  assert.equal((await verify(table, 'sealed.key')).code, 'SEALED_MISMATCH')
  assert.deepEqual((await verify(table, 'raw.key')).badChunks, [...Array(made.chunks).keys()])
  const second = chunkOffset(1)
  const mixed = await edited('mixed', (bytes) => {
    bytes.set(other.subarray(second, second + CHUNK_SIZE), second)
    return bytes
  })
  assert.deepEqual((await verify(mixed, 'sealed.key')).badChunks, [1])
  await assert.rejects(cat('other', 'dir/hello', 'sealed.key'), { code: 'SEALED_MISMATCH' })
  await assert.rejects(cat('other', 'dir/hello', 'raw.key'), { code: 'SEALED_CHUNK' })
})

test('layer cat prints nothing of a chunk that was edited, and the files beside it', async () => {
  const name = await edited('damaged', flip(chunkOffset(1) + 5000))
  assert.deepEqual(await cat(name, 'dir/hello', 'sealed.key'), utf8('hello\n'))
  await assert.rejects(cat(name, 'big', 'sealed.key'), { code: 'SEALED_CHUNK' })
})

test('layer cat refuses what is no file and says what it is', async () => {
  for (const [path, found] of [
    ['dir', /it is a directory/],
    ['/', /it is a directory/],
    ['pipe', /it is a fifo/],
    ['deleted', /deleted by this layer/],
  ] as const) {
    const refusal = { code: 'LAYER_NOT_FILE', message: found }
    await assert.rejects(cat('sealed', path, 'sealed.key'), refusal)
  }
  await assert.rejects(cat('sealed', 'nothing', 'sealed.key'), { code: 'EROFS_NOT_FOUND' })
  await assert.rejects(catCommand(open, line([at('sealed'), 'big'])), { code: 'USAGE' })
  await assert.rejects(cat('missing', 'big', 'sealed.key'), { code: 'INPUT_UNREADABLE' })
  await assert.rejects(cat('.', 'big', 'sealed.key'), { code: 'INPUT_UNREADABLE' })
})

test('layer cat --json gives the digest in place of the bytes', async () => {
  const input = line([at('sealed'), 'link'], { key: at('sealed.key') })
  const { document, stream } = await catCommand(context(true, still), input)
  assert.equal(stream, undefined)
  assert.deepEqual(document, {
    path: '/dir/hello',
    size: 6,
    digest: 'sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03',
  })
})

test('layer seal keeps what is there, and leaves nothing where it fails or is interrupted', async () => {
  const before = (await readdir(dir)).sort()
  const again = line([at('archive'), at('sealed')], { 'key-out': at('new.key') })
  await assert.rejects(sealCommand(open, again), { code: 'OUTPUT_EXISTS' })
  const keyThere = line([at('archive'), at('new')], { 'key-out': at('sealed.key') })
  await assert.rejects(sealCommand(open, keyThere), { code: 'OUTPUT_EXISTS' })
  await assert.rejects(sealCommand(open, line([at('archive'), at('new')])), { code: 'USAGE' })
  await writeFile(at('archive'), ARCHIVE.subarray(0, 2000))
  const cut = line([at('archive'), at('new')], { 'key-out': at('new.key') })
  await assert.rejects(sealCommand(open, cut), { code: 'TAR_TRUNCATED' })
  await writeFile(at('archive'), gzipSync(ARCHIVE).subarray(0, 300))
  await assert.rejects(sealCommand(open, cut), { code: 'LAYER_COMPRESSION' })
  await writeFile(at('archive'), ARCHIVE)
  const reason = new Error('stop')
  await assert.rejects(sealCommand(context(false, AbortSignal.abort(reason)), cut), reason)
  assert.deepEqual((await readdir(dir)).sort(), before)
})

test('layer seal --force replaces layer and key together', async () => {
  await writeFile(at('archive'), ARCHIVE)
  const flags = { 'key-out': at('forced.key'), force: true } as const
  const files = [at('archive'), at('forced')]
  await writeFile(at('forced.key'), 'old', { mode: 0o644 })
  await sealCommand(open, line(files, flags))
  const old = await readFile(at('forced.key'))
  await sealCommand(open, line(files, flags))
  assert.notDeepEqual(await readFile(at('forced.key')), old)
  assert.equal((await stat(at('forced.key'))).mode & 0o777, 0o600)
  assert.equal((await verify('forced', 'forced.key')).ok, true)
})

test('layer seal --force that cannot replace the layer leaves the old key alone', async () => {
  await mkdir(at('folder'))
  await writeFile(at('kept.key'), 'old')
  const before = (await readdir(dir)).sort()
  const flags = { 'key-out': at('kept.key'), force: true } as const
  await assert.rejects(sealCommand(open, line([at('archive'), at('folder')], flags)), {
    code: 'INPUT_UNREADABLE',
  })
  assert.equal(await readFile(at('kept.key'), 'utf8'), 'old')
  assert.deepEqual((await readdir(dir)).sort(), before)
  await rm(at('folder'), { recursive: true })
})

test('a fifo in place of a file is refused, not waited for', { timeout: 20_000 }, async () => {
  execFileSync('mkfifo', [at('fifo')])
  const refusal = { code: 'INPUT_UNREADABLE', message: /not a regular file/ }
  await assert.rejects(inspectCommand(line([at('fifo')])), refusal)
  await assert.rejects(verify('fifo', 'sealed.key'), refusal)
  const flags = { 'key-out': at('none.key') }
  await assert.rejects(sealCommand(open, line([at('fifo'), at('none')], flags)), refusal)
  await rm(at('fifo'))
})

test('a key that is none is bad input and no verdict', async () => {
  await writeFile(at('junk.key'), 'junk')
  const input = line([at('sealed')], { key: at('junk.key') })
  await assert.rejects(verifyCommand(open, input), { code: 'LAYER_KEY_INVALID', exitCode: 2 })
})

test('nobody is told to delete a file that is no sealed layer', async () => {
  await writeFile(at('photo'), new Uint8Array(8192).fill(7))
  await writeFile(at('note'), 'short')
  for (const name of ['photo', 'note']) {
    const refusal = { code: 'SEALED_FORMAT', next: /^do not use this file/ }
    await assert.rejects(inspectCommand(line([at(name)])), refusal)
    await assert.rejects(cat(name, 'big', 'sealed.key'), refusal)
    assert.equal((await verify(name, 'sealed.key')).code, 'SEALED_FORMAT')
  }
})

test('parseLayerKey() takes what encodeLayerKey() writes, and 32 raw bytes', () => {
  const key = Uint8Array.from({ length: 32 }, (_, i) => i)
  const root = sealedRoot(new Uint8Array(72), new Uint8Array(16))
  assert.deepEqual(parseLayerKey(encodeLayerKey({ key, root })), { key, root })
  assert.deepEqual(parseLayerKey(encodeLayerKey({ key })), { key })
  assert.deepEqual(parseLayerKey(key), { key })
})

test('the vectors of layer keys open the vector of sealed layers, or are refused', async () => {
  const vector = (name: string): string =>
    fileURLToPath(new URL(`../../../test/vectors/${name}`, import.meta.url))
  const judged = async (key: string): Promise<unknown> => {
    const flags = { key: vector(`layer-key/${key}`) }
    const input = line([vector('sealed-layer/two-chunks.sealed')], flags)
    const { ok, code, badChunks } = (await verifyCommand(open, input)).document as LayerVerdict
    return { ok, code, badChunks }
  }
  const genuine = { ok: true, code: undefined, badChunks: [] }
  assert.deepEqual(await judged('two-chunks.layer-key'), genuine)
  const noImage = { ok: false, code: 'EROFS_INVALID', badChunks: [] }
  assert.deepEqual(await judged('two-chunks.raw'), noImage)
  const folder = vector('layer-key/')
  const refused = (await readdir(folder)).filter((name) => name.startsWith('refuse-'))
  assert.equal(refused.length, 3)
  for (const name of refused) {
    await assert.rejects(judged(name), { code: 'LAYER_KEY_INVALID' }, name)
  }
})

test('parseLayerKey() refuses every other document without showing the key', () => {
  const key = Buffer.alloc(32, 7).toString('base64')
  for (const text of [
    '',
    'x'.repeat(31),
    '{}',
    '[]',
    JSON.stringify({ version: 1 }),
    JSON.stringify({ version: 2, key }),
    JSON.stringify({ version: 1, key: key.slice(4) }),
    JSON.stringify({ version: 1, key, root: 'ab' }),
    JSON.stringify({ version: 1, key, other: 1 }),
    `{"version":1,"key":"${key}","key":"${key}"}`,
    `${JSON.stringify({ version: 1, key })}{}`,
    JSON.stringify({ version: 1, key }) + ' '.repeat(4096),
  ]) {
    assert.throws(
      () => parseLayerKey(utf8(text)),
      (error: Error & { code?: string }) =>
        error.code === 'LAYER_KEY_INVALID' && !error.message.includes(key.slice(0, 8)),
      text,
    )
  }
})
