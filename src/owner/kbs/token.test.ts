import assert from 'node:assert/strict'
import { sign } from 'node:crypto'
import { test } from 'node:test'
import { toBase64Url, utf8 } from '#lib/bytes'
import { newKeyPair } from './certificates.ts'
import { issueToken, TOKEN_SECONDS, type TokenInput, verifyToken } from './token.ts'

const NOW = Date.UTC(2026, 0, 1)
const { publicKey } = newKeyPair()
const { x = '', y = '' } = publicKey.export({ format: 'jwk' })
const teeKey = { kty: 'EC', crv: 'P-256', alg: 'ECDH-ES+A256KW', x, y } as const
const authority = { id: 'kbs-1', ...newKeyPair(), chain: [], build: 'test' }
const input: TokenInput = {
  enclave: {
    mrEnclave: 'aa',
    mrSigner: 'bb',
    isvProdId: 1,
    isvSvn: 1,
    debug: false,
    program: 'agent',
    reference: 'r',
  },
  platform: 'simulated',
  root: 'ab'.repeat(48),
  machine: 'cd'.repeat(16),
  tcbStatus: 'UpToDate',
  namespace: 'acme',
  status: 'affirming',
  teeKey,
  decisionId: 'd1',
  claims: {},
  reportData: '00',
  runtimeData: { 'tee-pubkey': { ...teeKey } },
  initData: '00',
  initDataClaims: null,
}
const token = issueToken(authority, input, NOW)
const refused = (text: string, now = NOW, by = authority) =>
  assert.throws(() => verifyToken(by, text, now), { code: 'KBS_TOKEN_INVALID' })

test('a token says to its broker what the broker put in', () => {
  const { enclave, platform, root, machine, tcbStatus, namespace, status, decisionId } = input
  const facts = {
    enclave,
    platform,
    root,
    machine,
    tcbStatus,
    namespace,
    status,
    teeKey,
    decisionId,
  }
  assert.deepEqual(verifyToken(authority, token, NOW), facts)
})

test('a token of another broker is refused even where both have one key', () => {
  refused(token, NOW, { ...authority, id: 'kbs-2' })
  refused(issueToken({ ...authority, id: 'kbs-2' }, input, NOW))
})

test('a token is refused after its end, and by another key', () => {
  verifyToken(authority, token, NOW + TOKEN_SECONDS * 1000)
  refused(token, NOW + (TOKEN_SECONDS + 6) * 1000)
  refused(token, NOW, { ...authority, ...newKeyPair() })
})

test('a header that names another algorithm is refused even over a good signature', () => {
  const [, payload] = token.split('.')
  for (const alg of ['none', 'HS256', 'ES384', undefined]) {
    const signed = `${toBase64Url(utf8(JSON.stringify({ typ: 'JWT', alg })))}.${payload}`
    const key = { key: authority.privateKey, dsaEncoding: 'ieee-p1363' } as const
    refused(`${signed}.${toBase64Url(sign('sha256', utf8(signed), key))}`)
  }
})

test('a token for another audience, by another issuer or without an end is refused over a good signature', () => {
  const [header = '', payload = ''] = token.split('.')
  const claims = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
  const resigned = (change: Record<string, unknown>): string => {
    const body = toBase64Url(utf8(JSON.stringify({ ...claims, ...change })))
    const key = { key: authority.privateKey, dsaEncoding: 'ieee-p1363' } as const
    return `${header}.${body}.${toBase64Url(sign('sha256', utf8(`${header}.${body}`), key))}`
  }
  verifyToken(authority, resigned({}), NOW)
  for (const change of [
    { aud: 'kbs-2' },
    { aud: [authority.id, 'kbs-2'] },
    { aud: undefined },
    { iss: 'kbs-2' },
    { iss: undefined },
    { exp: undefined },
    { exp: `${claims.exp}` },
    { exp: 1e300 },
    { submods: {} },
  ]) {
    refused(resigned(change))
  }
})
