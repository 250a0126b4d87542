import assert from 'node:assert/strict'
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { sealRecord } from '#lib/cache'
import { CHUNK_SIZE, cachedLayerFile, encodeHeader, headerBlock, sealedLayout } from '#lib/sealed'
import { tryLockOpenFile } from '#platform/lock'
import { LayerStore } from './layer-store.ts'

/** A node's root with layers as agents leave them; `age` in seconds. */
class Root implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'enclave-cc-store-'))
  readonly store = new LayerStore(this.path)

  constructor() {
    this.store.create()
  }

  /** Adds layer `n` (0 to 255) of `length` bytes and gives the name of its record, or none. */
  add(n: number, length: number, options: { age?: number; record?: boolean } = {}): string {
    const { age = 0, record = true } = options
    const shape = { imageLength: length, chunkCount: Math.ceil(length / CHUNK_SIZE) }
    const fileId = new Uint8Array(16).fill(n)
    const layerId = new Uint8Array(32).fill(n + 1)
    const header = encodeHeader({ ...shape, fileId, layerId })
    const { fileLength } = sealedLayout({ ...shape, fileId, layerId })
    const data = new Uint8Array(fileLength)
    data.set(headerBlock(header))
    writeFileSync(this.at(this.data(n)), data)
    const name = n.toString(16).padStart(2, '0').repeat(32)
    if (!record) return name
    const secrets = { key: new Uint8Array(32), root: new Uint8Array(32), opaqueRoot: false }
    const keys = { wrappingKey: new Uint8Array(32) }
    const path = this.at(`${name}.record`)
    writeFileSync(path, sealRecord(keys, layerId, { ...secrets, header }))
    const used = Date.now() / 1000 - age
    utimesSync(path, used, used)
    return name
  }

  data(n: number): string {
    return cachedLayerFile(new Uint8Array(16).fill(n))
  }

  at(file: string): string {
    return join(this.store.folder, file)
  }

  files(): readonly string[] {
    return readdirSync(this.store.folder).sort()
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

/** As an agent holds a file that it uses. */
function inUse(path: string): Disposable {
  const fd = openSync(path, 'r')
  assert.ok(tryLockOpenFile(fd, path, 'shared'))
  return { [Symbol.dispose]: () => closeSync(fd) }
}

test('a node without layers has none', () => {
  const store = new LayerStore('/nonexistent')
  assert.deepEqual(store.list(), [])
  assert.equal(store.summary(), undefined)
  assert.deepEqual(store.collect(0), { removed: [], freed: 0 })
  assert.deepEqual(store.trim(0), { removed: [], freed: 0 })
  assert.equal(store.verify().ok, true)
  assert.ok(!existsSync('/nonexistent'))
})

test('the least recently used go until the rest fits, and what is in use stays and counts', () => {
  using root = new Root()
  const [old, used, young] = [
    root.add(1, 100_000, { age: 300 }),
    root.add(2, 100_000, { age: 200 }),
    root.add(3, 100_000, { age: 100 }),
  ]
  const [{ size } = { size: 0 }] = root.store.list()
  assert.deepEqual(
    root.store.list().map(({ name }) => name),
    [old, used, young],
  )
  assert.deepEqual(root.store.trim(3 * size), { removed: [], freed: 0 }, 'all of them fit')
  {
    using _used = inUse(root.at(root.data(2)))
    assert.deepEqual(
      root.store.list().map((layer) => layer.inUse),
      [false, true, false],
    )
    assert.deepEqual(root.store.trim(3 * size - 1), { removed: [old], freed: size })
    assert.deepEqual(root.store.collect(1), { removed: [young], freed: size })
    assert.deepEqual(root.files(), [`${used}.record`, root.data(2)].sort())
  }
  assert.deepEqual(root.store.collect(0), { removed: [used], freed: size })
  assert.deepEqual(root.files(), [])
})

test('room is made of what was least recently used, and of no more than was asked for', () => {
  using root = new Root()
  const [old, used, young] = [1, 2, 3].map((n) => root.add(n, 100_000, { age: 400 - n * 100 }))
  const [{ size } = { size: 0 }] = root.store.list()
  using _used = inUse(root.at(root.data(2)))
  assert.deepEqual(
    root.store.relieve(() => size - 1),
    { removed: [old], freed: size },
  )
  assert.deepEqual(
    root.store.relieve(() => 0),
    { removed: [], freed: 0 },
  )
  assert.deepEqual(
    root.store.relieve(() => 3 * size),
    { removed: [young], freed: size },
  )
  assert.deepEqual(
    root.store.list().map(({ name }) => name),
    [used],
  )
})

test('what is being written, or serves a pod without a record, is left alone', () => {
  using root = new Root()
  root.add(1, 5000, { record: false })
  const unfinished = `new-${'0'.repeat(32)}`
  writeFileSync(root.at(unfinished), 'half a layer')
  {
    using _data = inUse(root.at(root.data(1)))
    using _unfinished = inUse(root.at(unfinished))
    assert.deepEqual(root.store.collect(0), { removed: [], freed: 0 })
    assert.deepEqual(root.store.verify().leftovers, [])
  }
  assert.deepEqual([...root.store.verify().leftovers].sort(), [root.data(1), unfinished].sort())
  assert.deepEqual([...root.store.trim(2 ** 40).removed].sort(), [root.data(1), unfinished].sort())
})

test('a damaged layer is forgotten at once; its data goes when nobody uses it', () => {
  using root = new Root()
  root.add(1, 5000)
  root.add(2, 5000)
  {
    using _used = inUse(root.at(root.data(1)))
    root.store.forget([root.data(1), 'layer-0.sealed'])
    assert.ok(root.files().includes(root.data(1)))
    assert.equal(root.store.list().length, 1)
  }
  root.store.forget([root.data(2)])
  assert.deepEqual(root.store.list(), [])
  assert.deepEqual(root.files(), [root.data(1)])
})

test('verify sees records that are none, missing data, other lengths and headers of others', () => {
  using root = new Root()
  const names = [1, 2, 3, 4].map((n) => root.add(n, 20_000))
  assert.deepEqual(root.store.verify(), {
    ok: true,
    records: 4,
    bad: [],
    leftovers: [],
    unknown: [],
  })
  writeFileSync(root.at(`${names[0]}.record`), 'no record')
  rmSync(root.at(root.data(2)))
  writeFileSync(root.at(root.data(3)), 'x', { flag: 'a' })
  writeFileSync(root.at(root.data(4)), headerBlock(new Uint8Array(0)))
  symlinkSync('/etc/passwd', root.at(`${'ee'.repeat(32)}.record`))
  const { ok, bad, unknown, leftovers } = root.store.verify()
  assert.equal(ok, false)
  assert.deepEqual(bad.map(({ file }) => file.slice(0, 64)).sort(), names)
  assert.deepEqual(unknown, [`${'ee'.repeat(32)}.record`])
  assert.deepEqual(leftovers, [root.data(1)])
  root.store.collect(2 ** 40)
  assert.deepEqual(root.files(), [`${'ee'.repeat(32)}.record`])
})
