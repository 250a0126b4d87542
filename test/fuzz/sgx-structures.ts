import assert from 'node:assert/strict'
import {
  encodeKeyRequest,
  encodeReport,
  encodeTargetInfo,
  parseKeyRequest,
  parseReport,
  parseTargetInfo,
  REPORT_SIZE,
} from '#lib/attest'
import { fromHex } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorJson } from '../support/vector-file.ts'

/**
 * REPORT by its length, else the first byte chooses TARGETINFO or KEYREQUEST for the rest: what is
 * accepted encodes to the same bytes.
 */
export const target: FuzzTarget = { format: 'sgx-structures', seeds, run: fuzzStructures }

function* seeds(): Generator<Uint8Array> {
  // M1 = type, form, launch id, nonce, public key, length, TARGETINFO
  const { messages } = vectorJson<{ messages: string[] }>('handover/v1.json')
  yield Uint8Array.of(0, ...fromHex(messages[0] ?? '', 'M1').slice(1 + 1 + 32 * 3 + 4))
  yield Uint8Array.from({ length: REPORT_SIZE }, (_, i) => i)
  yield Uint8Array.of(1, ...encodeKeyRequest(parseKeyRequest(new Uint8Array(512).fill(4, 0, 1))))
}

function fuzzStructures(data: Uint8Array): void {
  if (data.length === REPORT_SIZE) {
    assert.deepEqual(encodeReport(parseReport(data)), new Uint8Array(data))
    return
  }
  const rest = data.slice(1)
  if (data[0] === 0) assert.deepEqual(encodeTargetInfo(parseTargetInfo(rest)), rest)
  else assert.deepEqual(encodeKeyRequest(parseKeyRequest(rest)), rest)
}
