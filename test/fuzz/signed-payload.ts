import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { isDigest } from '#lib/oci'
import { parsePayload } from '#lib/signing'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorJson } from '../support/vector-file.ts'

/** What cosign signs: a typed error, or a digest and a name, the ones that any JSON reader finds there. */
export const target: FuzzTarget = { format: 'signed-payload', seeds, run: fuzzPayload }

function* seeds(): Generator<Uint8Array> {
  for (const { payload } of vectorJson<{ payload: string }[]>('signing/cosign.json')) {
    yield utf8(payload)
    yield utf8(payload.replace('"optional":null', '"optional":{"creator":"x","timestamp":1}'))
  }
}

function fuzzPayload(data: Uint8Array): void {
  const { manifestDigest, dockerReference } = parsePayload(data)
  assert.ok(isDigest(manifestDigest))
  const { critical } = JSON.parse(Buffer.from(data).toString()) as {
    critical: { image: Record<string, string>; identity: Record<string, string> }
  }
  assert.equal(critical.image['docker-manifest-digest'], manifestDigest)
  assert.equal(critical.identity['docker-reference'], dockerReference)
}
