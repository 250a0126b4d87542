import assert from 'node:assert/strict'
import { fromHex } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { encodePayload, parsePayload } from '../../src/lib/handover/payload.ts'
import { vectorJson } from '../support/vector-file.ts'

/** The content of M4: a typed error, or keys and names that encode to the same bytes; no name leaves its folder. */
export const target: FuzzTarget = {
  format: 'handover',
  seeds: () => [fromHex(vectorJson('handover/v1.json').payload ?? '', 'payload')],
  run: fuzzPayload,
}

function fuzzPayload(data: Uint8Array): void {
  const { launchId, ...payload } = parsePayload(data)
  assert.deepEqual(encodePayload(launchId, payload), new Uint8Array(data))
  for (const { file } of payload.layers) assert.doesNotMatch(file, /\/|\.\.$|^\.|\0/)
}
