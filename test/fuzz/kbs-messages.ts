import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { utf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { parseJson } from '#lib/json'
import {
  parseAttestation,
  parseAuthRequest,
  parseChallenge,
  parseProblem,
  parseResourceResponse,
  parseTokenResponse,
  rcarReportData,
  teePublicKey,
} from '#protocol/kbs'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const PARSERS = [
  parseAuthRequest,
  parseChallenge,
  parseAttestation,
  parseTokenResponse,
  parseResourceResponse,
  parseProblem,
] as const

/**
 * A body of the broker's protocol; the first byte chooses which. A typed error, or a value that reads the
 * same again; a key that an enclave sends either becomes a key or is refused.
 */
export const target: FuzzTarget = { format: 'kbs', seeds, run: fuzzBody }

function* seeds(): Generator<Uint8Array> {
  const body = (index: number, value: object): Uint8Array =>
    Uint8Array.of(index, ...utf8(JSON.stringify(value)))
  const { kty, crv, x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
    format: 'jwk',
  })
  const key = { kty, crv, alg: 'ECDH-ES+A256KW', x, y }
  yield body(0, { version: '0.4.0', tee: 'sgx', 'extra-params': {} })
  yield body(1, { nonce: 'AAAA', 'extra-params': '' })
  yield body(2, {
    'init-data': { format: 'toml', body: 'version = "0.1.0"' },
    'runtime-data': { nonce: 'AAAA', 'tee-pubkey': key },
    'tee-evidence': { primary_evidence: { quote: 'AAAA' }, additional_evidence: '' },
  })
  yield body(3, { token: 'a.b.c' })
  yield body(4, { protected: 'e30', encrypted_key: 'AA', iv: 'AA', ciphertext: 'AA', tag: 'AA' })
  yield body(5, { type: 'https://example/x', detail: 'd', code: 'POLICY_DENIED', retryable: false })
}

function fuzzBody(data: Uint8Array): void {
  const parse = PARSERS[(data[0] ?? 0) % PARSERS.length] ?? parseProblem
  const value: unknown = parse(parseJson(data.subarray(1)))
  if (typeof value === 'string') return
  assert.deepEqual(parse(parseJson(JSON.stringify(value))), value)
  if (parse !== parseAttestation) return
  const { 'runtime-data': runtime, 'tee-evidence': evidence } = parseAttestation(value)
  assert.ok(rcarReportData)
  assert.ok(evidence)
  try {
    assert.equal(teePublicKey(runtime['tee-pubkey']).type, 'public')
  } catch (error) {
    if (!isCoded(error)) throw error
  }
}
