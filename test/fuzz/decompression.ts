import assert from 'node:assert/strict'
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { concat, equalBytes, utf8 } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { decompress } from '../../src/lib/layer/inflate.ts'

/** A compressed layer, by its first byte gzip or zstd: a typed error, or the bytes that zlib itself gives. */
export const target: FuzzTarget = { format: 'decompression', seeds, run: fuzzCompressed }

const LARGEST = 16 * 1024 * 1024

function* seeds(): Generator<Uint8Array> {
  const text = utf8('a layer, a layer, a layer. '.repeat(40))
  yield concat(Uint8Array.of(0), gzipSync(text), gzipSync(utf8('second member')))
  yield concat(Uint8Array.of(0), gzipSync(new Uint8Array(300_000)))
  yield concat(Uint8Array.of(1), zstdCompressSync(text), zstdCompressSync(utf8('second frame')))
  yield concat(Uint8Array.of(1), zstdCompressSync(new Uint8Array(300_000)))
}

async function* pieces(data: Uint8Array): AsyncGenerator<Uint8Array> {
  const step = 1 + (data.length >> 2)
  for (let at = 0; at < data.length; at += step) yield data.subarray(at, at + step)
}

async function fuzzCompressed(data: Uint8Array): Promise<void> {
  const compression = ((data[0] ?? 0) & 1) === 0 ? 'gzip' : 'zstd'
  const blob = data.slice(1)
  const parts: Uint8Array[] = []
  let length = 0
  for await (const piece of decompress(pieces(blob), compression)) {
    parts.push(piece.slice())
    length += piece.length
    if (length > LARGEST) return
  }
  const reference = compression === 'gzip' ? gunzipSync : zstdDecompressSync
  assert.ok(equalBytes(concat(...parts), reference(blob)))
}
