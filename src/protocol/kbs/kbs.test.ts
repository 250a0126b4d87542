import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { FormatError, toHex } from '#lib/bytes'
import {
  parseAttestation,
  parseAuthRequest,
  parseProblem,
  parseTeeKey,
  rcarReportData,
  type TeeKey,
  teePublicKey,
} from './index.ts'

const { x, y } = generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey.export({
  format: 'jwk',
})
const key = { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x: x ?? '', y: y ?? '' } as const
const attestation = {
  'init-data': null,
  'runtime-data': { nonce: 'bm9uY2U=', 'tee-pubkey': key },
  'tee-evidence': { primary_evidence: { quote: 'AA==' }, additional_evidence: '' },
}

test('rcarReportData() gives the published hash, padded to 64 bytes', () => {
  const teeKey = { ...key, x: 'AAAA', y: 'BBBB' } as TeeKey
  assert.equal(
    toHex(rcarReportData({ nonce: 'bm9uY2U=', teeKey, additionalEvidence: '' })),
    `d20490d30e5f16cba693abc1ca3c31ed977d2722d0adf01a980972d16913dc38f103c1f12abf477df0523af2b12e4b43${'0'.repeat(32)}`,
  )
})

test('parseTeeKey() takes the forms of the protocol and nothing else', () => {
  assert.deepEqual(parseTeeKey(key), key)
  const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 }).publicKey.export({
    format: 'jwk',
  })
  assert.equal(parseTeeKey({ ...rsa, alg: 'RSA-OAEP-256' }).kty, 'RSA')
  for (const bad of [
    { ...key, kid: 'x' },
    { ...key, alg: 'ECDH-ES' },
    { ...key, x: `${key.x}AA` },
    { ...key, crv: 'P-521' },
    { ...key, crv: 'P-384' },
    { ...rsa, alg: 'RSA1_5' },
    { ...rsa, alg: 'RSA-OAEP-256', n: 'AQAB' },
    { ...rsa, alg: 'RSA-OAEP-256', e: 'AQ' },
    { ...rsa, alg: 'RSA-OAEP-256', e: 'AQAA' },
    { kty: 'oct', k: 'AA' },
    null,
  ]) {
    assert.throws(() => parseTeeKey(bad), FormatError)
  }
})

test('teePublicKey() refuses a point that is not on the curve', () => {
  assert.equal(teePublicKey(key).asymmetricKeyType, 'ec')
  assert.throws(() => teePublicKey({ ...key, y: key.x }), FormatError)
})

test('parseAttestation() keeps additional evidence as the string that was sent', () => {
  const read = parseAttestation(attestation)
  assert.equal(read['init-data'], undefined)
  assert.equal(read['tee-evidence'].additional_evidence, '')
  const tuples = { ...attestation['tee-evidence'], additional_evidence: { a: 1 } }
  assert.throws(() => parseAttestation({ ...attestation, 'tee-evidence': tuples }), FormatError)
  const json = { ...attestation, 'init-data': { format: 'json', body: '{}' } }
  assert.throws(() => parseAttestation(json), FormatError)
})

test('parseAuthRequest() needs extra-params, whatever its value', () => {
  const request = { version: '0.4.0', tee: 'sgx', 'extra-params': '' }
  assert.deepEqual(parseAuthRequest(request), request)
  assert.throws(() => parseAuthRequest({ version: '0.4.0', tee: 'sgx' }), FormatError)
})

test('parseProblem() reads upstream refusals and ours', () => {
  const upstream = { type: 'https://x/PolicyDeny', detail: 'Access denied by policy' }
  assert.deepEqual(parseProblem(upstream), upstream)
  const ours = {
    ...upstream,
    code: 'RELEASE_DENIED',
    correlationId: 'a1',
    next: 'n',
    retryable: false,
  }
  assert.deepEqual(parseProblem(ours), ours)
  assert.throws(() => parseProblem({ ...ours, code: 'x\u001b[31m' }), FormatError)
})
