import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fromHex, toHex, utf8 } from '#lib/bytes'
import {
  type CacheEntry,
  cacheFileKind,
  layerId,
  openRecord,
  parseRecord,
  RECORD_LENGTH,
  type RecordKeys,
  recordFile,
  recordKeys,
  sealRecord,
} from './index.ts'

type Vector = Readonly<
  Record<
    | 'title'
    | 'digest'
    | 'mediaType'
    | 'diffId'
    | 'scope'
    | 'options'
    | 'layerId'
    | 'wrappingKey'
    | 'name'
    | 'nonce'
    | 'key'
    | 'root'
    | 'header'
    | 'record',
    string
  > & { readonly opaqueRoot: boolean }
>

const path = new URL('../../../test/vectors/cache-record/records.json', import.meta.url)
const { sealingKey, records } = JSON.parse(readFileSync(path, 'utf8')) as {
  readonly sealingKey: string
  readonly records: readonly Vector[]
}
const hex = (text: string): Uint8Array => fromHex(text, 'vector')
const SK = hex(sealingKey)
const PLAIN = toHex(utf8('plain'))

function released({ options }: Vector) {
  const bytes = hex(options)
  return options === PLAIN ? undefined : { key: bytes.subarray(0, 32), nonce: bytes.subarray(32) }
}

function entryOf(vector: Vector): CacheEntry {
  const { key, root, header, opaqueRoot } = vector
  return { key: hex(key), root: hex(root), header: hex(header), opaqueRoot }
}

function keysOf(vector: Vector): RecordKeys {
  return recordKeys(SK, hex(vector.layerId), released(vector))
}

const [encrypted, plain] = records as [Vector, Vector]
const invalid = { code: /^FORMAT_/ }

for (const vector of records) {
  test(`a record of the ${vector.title} layer matches the vector byte for byte`, () => {
    const { digest, mediaType, diffId } = vector
    const id = layerId({ digest, mediaType, diffId, scope: hex(vector.scope) })
    assert.equal(toHex(id), vector.layerId)
    using keys = keysOf(vector)
    assert.equal(keys.name, vector.name)
    assert.equal(toHex(keys.wrappingKey), vector.wrappingKey)
    const record = sealRecord(keys, id, entryOf(vector), (nonce) => nonce.set(hex(vector.nonce)))
    assert.equal(toHex(record), vector.record)
    assert.deepEqual(openRecord(keys, id, record), entryOf(vector))
    assert.deepEqual(toHex(parseRecord(record).fileId), vector.header.slice(48, 80))
  })

  test(`no bit of the ${vector.title} record can be another, and none can be missing`, () => {
    using keys = keysOf(vector)
    const id = hex(vector.layerId)
    const record = hex(vector.record)
    assert.equal(record.length, RECORD_LENGTH)
    for (let at = 0; at < record.length; at++) {
      const changed = Uint8Array.from(record)
      changed[at] = (changed[at] ?? 0) ^ (1 << (at % 8))
      assert.throws(() => openRecord(keys, id, changed), invalid, `byte ${at}`)
      assert.throws(() => openRecord(keys, id, record.subarray(0, at)), invalid, `length ${at}`)
    }
    assert.throws(() => openRecord(keys, id, Uint8Array.of(...record, 0)), invalid)
    assert.throws(() => openRecord(keys, id, new Uint8Array(RECORD_LENGTH)), invalid)
  })
}

test('another platform, layer key, nonce, layer or scope is another name and another key', () => {
  const id = hex(encrypted.layerId)
  const options = released(encrypted)
  assert.ok(options)
  const flipped = (bytes: Uint8Array): Uint8Array =>
    Uint8Array.from(bytes, (byte, at) => (at === 0 ? byte ^ 1 : byte))
  const others = [
    recordKeys(flipped(SK), id, options),
    recordKeys(SK, id, { ...options, key: flipped(options.key) }),
    recordKeys(SK, id, { ...options, nonce: flipped(options.nonce) }),
    recordKeys(SK, id, undefined),
    recordKeys(SK, flipped(id), options),
  ]
  assert.equal(new Set([encrypted.name, ...others.map(({ name }) => name)]).size, 6)
  for (const keys of others) {
    assert.throws(() => openRecord(keys, id, hex(encrypted.record)), invalid)
  }
  const { digest, mediaType, diffId } = plain
  const names = [plain.scope, '', '00'.repeat(32)].map((scope) =>
    toHex(layerId({ digest, mediaType, diffId, scope: hex(scope) })),
  )
  assert.equal(new Set(names).size, 3)
})

test('a record of one layer is none of another, even under the same key', () => {
  using keys = keysOf(encrypted)
  const entry = entryOf(encrypted)
  const foreign = sealRecord(keys, hex(plain.layerId), entry)
  assert.throws(() => openRecord(keys, hex(plain.layerId), foreign), { message: /another layer/ })
  assert.throws(() => openRecord(keys, hex(encrypted.layerId), foreign), { message: /genuine/ })
})

test('disposing of the keys wipes them, and the key in an entry is a copy of its own', () => {
  const keys = keysOf(encrypted)
  const { key } = openRecord(keys, hex(encrypted.layerId), hex(encrypted.record))
  assert.equal(key.buffer.byteLength, 32)
  keys[Symbol.dispose]()
  assert.deepEqual(keys.wrappingKey, new Uint8Array(32))
})

test('file names say what a file is, and nothing else is one', () => {
  assert.deepEqual(cacheFileKind(recordFile('ab'.repeat(32))), {
    kind: 'record',
    name: 'ab'.repeat(32),
  })
  assert.equal(cacheFileKind(`${'0f'.repeat(16)}.sealed`)?.kind, 'data')
  assert.equal(cacheFileKind(`new-${'0f'.repeat(16)}`)?.kind, 'unfinished')
  const none = ['..', 'x', 'layer-0.sealed', `${'AB'.repeat(32)}.record`, `new-${'0f'.repeat(16)}x`]
  for (const file of none) assert.equal(cacheFileKind(file), undefined, file)
})
