import assert from 'node:assert/strict'
import { concat, utf8 } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { encodeLayerKey, parseLayerKey } from '../../src/owner/layer/layer-key.ts'

const KEY = Uint8Array.from({ length: 32 }, (_, i) => i)
const ROOT = new Uint8Array(32).fill(0xee)

/** A layer key: a typed error, or key and root of their lengths that read the same when written again. */
export const target: FuzzTarget = {
  format: 'layer-key',
  seeds: () => [
    encodeLayerKey({ key: KEY, root: ROOT }),
    encodeLayerKey({ key: KEY }),
    concat(utf8('\n\t '), encodeLayerKey({ key: KEY })),
    KEY,
  ],
  run: fuzzLayerKey,
}

function fuzzLayerKey(data: Uint8Array): void {
  const found = parseLayerKey(data)
  assert.equal(found.key.length, 32)
  if (found.root !== undefined) assert.equal(found.root.length, 32)
  assert.deepEqual(parseLayerKey(encodeLayerKey(found)), found)
}
