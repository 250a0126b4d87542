import assert from 'node:assert/strict'
import { test } from 'node:test'
import { constants, gzipSync, zstdCompressSync } from 'node:zlib'
import { concat, fromHex, utf8 } from '#lib/bytes'
import { pieces } from '../../../test/support/layer-blob.ts'
import { createInflater, decompress, handleOf, inflateStream } from './inflate.ts'

type Kind = 'gzip' | 'zstd'
const KINDS: readonly Kind[] = ['gzip', 'zstd']
const compress = (kind: Kind, bytes: Uint8Array): Uint8Array =>
  new Uint8Array(kind === 'gzip' ? gzipSync(bytes) : zstdCompressSync(bytes))

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part.slice())
  return concat(...parts)
}

/** Both ways: the handle and, as a reference, the documented stream. */
const ways = {
  handle: (kind: Kind, source: AsyncIterable<Uint8Array>) => decompress(source, kind),
  stream: (kind: Kind, source: AsyncIterable<Uint8Array>) =>
    inflateStream(source, createInflater(kind)),
}

test('the pinned runtime has the zlib handle that we drive', () => {
  for (const kind of KINDS) {
    const inflater = createInflater(kind)
    assert.notEqual(handleOf(inflater), undefined, kind)
    inflater.destroy()
  }
})

test('an object of another shape gives no handle', () => {
  assert.equal(handleOf({}), undefined)
  const owner = Symbol('owner_symbol')
  const state = new Uint32Array(2)
  const handle = { write: () => 0, [owner]: {} }
  assert.notEqual(handleOf({ _handle: handle, _writeState: state }), undefined)
  assert.equal(handleOf({ _handle: { ...handle, write: 1 }, _writeState: state }), undefined)
  assert.equal(handleOf({ _handle: { write: () => 0 }, _writeState: state }), undefined)
  assert.equal(handleOf({ _handle: handle, _writeState: [0, 0] }), undefined)
})

for (const [way, run] of Object.entries(ways)) {
  test(`${way}: any cuts give the same bytes, members and frames are joined`, async () => {
    const a = Uint8Array.from({ length: 700_000 }, (_, i) => (i * i) >> 5)
    const b = utf8('second member')
    for (const kind of KINDS) {
      const blob = concat(compress(kind, a), compress(kind, new Uint8Array(0)), compress(kind, b))
      for (const size of [999, 65_536, blob.length]) {
        assert.deepEqual(
          await collect(run(kind, pieces(blob, size))),
          concat(a, b),
          `${kind} ${size}`,
        )
      }
    }
    const small = compress('gzip', b)
    assert.deepEqual(await collect(run('gzip', pieces(concat(small, small), 1))), concat(b, b))
  })

  test(`${way}: a cut at every offset is refused`, async () => {
    for (const kind of KINDS) {
      const blob = compress(kind, utf8('some text, some text, some text'))
      for (let length = kind === 'zstd' ? 1 : 0; length < blob.length; length++) {
        await assert.rejects(
          collect(run(kind, pieces(blob.subarray(0, length), 7))),
          { code: 'LAYER_COMPRESSION' },
          `${kind} ${length}`,
        )
      }
    }
  })

  test(`${way}: data that is no member is refused, at the start and at the end`, async () => {
    for (const kind of KINDS) {
      const good = compress(kind, utf8('text'))
      const bad = [
        utf8('nonsense'),
        concat(good, utf8('trailing')),
        concat(good, new Uint8Array(20)),
      ]
      for (const [at, blob] of bad.entries()) {
        for (const size of [blob.length, good.length, 1]) {
          await assert.rejects(
            collect(run(kind, pieces(blob, size))),
            { code: 'LAYER_COMPRESSION' },
            `${kind} ${at} ${size}`,
          )
        }
      }
    }
  })

  test(`${way}: a wrong checksum is refused`, async () => {
    const blob = compress('gzip', utf8('text'))
    const at = blob.length - 5
    blob[at] = (blob[at] ?? 0) ^ 1
    await assert.rejects(collect(run('gzip', pieces(blob))), { code: 'LAYER_COMPRESSION' })
  })

  test(`${way}: a zstd window above 8 MiB is refused, skippable frames are passed over`, async () => {
    const params = { [constants.ZSTD_c_windowLog]: 24, [constants.ZSTD_c_contentSizeFlag]: 0 }
    const wide = zstdCompressSync(new Uint8Array(20 * 2 ** 20), { params })
    await assert.rejects(collect(run('zstd', pieces(wide))), { code: 'LAYER_COMPRESSION' })
    const skippable = fromHex('502a4d1804000000deadbeef', 'frame')
    const blob = concat(
      skippable,
      compress('zstd', utf8('a')),
      skippable,
      compress('zstd', utf8('b')),
    )
    assert.deepEqual(await collect(run('zstd', pieces(blob))), utf8('ab'))
  })

  test(`${way}: an error of the source comes through, and a reader may stop early`, async () => {
    const failing = async function* (): AsyncGenerator<Uint8Array> {
      yield compress('gzip', utf8('x')).subarray(0, 5)
      throw new Error('the source is gone')
    }
    await assert.rejects(collect(run('gzip', failing())), /the source is gone/)
    const large = compress('gzip', new Uint8Array(5_000_000))
    for await (const _ of run('gzip', pieces(large, 100))) break
  })
}

test('an uncompressed layer passes through', async () => {
  assert.deepEqual(await collect(decompress(pieces(utf8('tar'), 1), 'none')), utf8('tar'))
})
