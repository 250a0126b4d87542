import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { fromUtf8, toHex, utf8 } from '#lib/bytes'
import {
  type EnclaveManifest,
  manifestBytes,
  mrEnclave,
  mrSigner,
  parseManifest,
  parseSignedManifest,
  signedManifestBytes,
  signManifest,
} from './index.ts'

const MANIFEST: EnclaveManifest = {
  version: 1,
  program: 'agent',
  image: { sha256: '11'.repeat(32), size: 4096 },
  entry: '/usr/bin/node',
  args: ['--no-addons', '/usr/lib/enclave-cc/agent.cjs'],
  env: { UV_THREADPOOL_SIZE: '8' },
  attributes: { debug: false },
  isvProdId: 1,
  isvSvn: 1,
  builtAt: 1_700_000_000,
  peers: { init: { mrEnclave: '22'.repeat(32) } },
}
const QUOTES = { form: 'quote', root: 'MAA=', minTcbEvaluationDataNumber: 17 } as const
const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 })

test('a signed manifest reads back as it was written', () => {
  const signed = signManifest(MANIFEST, privateKey)
  const read = parseSignedManifest(signedManifestBytes(signed))
  assert.deepEqual(read.manifest, MANIFEST)
  assert.deepEqual(mrSigner(read.signer), mrSigner(signed.signer))
  const quotes = { ...MANIFEST, handover: QUOTES }
  const written = signedManifestBytes(signManifest(quotes, privateKey))
  assert.deepEqual(parseSignedManifest(written).manifest, quotes)
})

test('mrEnclave() is the hash of the canonical bytes and changes with every member', () => {
  const first = toHex(mrEnclave(MANIFEST))
  assert.equal(first, createHash('sha256').update(manifestBytes(MANIFEST)).digest('hex'))
  const changes: Partial<EnclaveManifest>[] = [
    { image: { sha256: '12'.repeat(32), size: 4096 } },
    { args: ['/usr/lib/enclave-cc/agent.cjs'] },
    { env: {} },
    { attributes: { debug: true } },
    { isvSvn: 2 },
    { builtAt: 0 },
    { peers: { init: { mrEnclave: '23'.repeat(32) } } },
    { handover: QUOTES },
    { handover: { ...QUOTES, root: 'MAE=' } },
    { handover: { ...QUOTES, minTcbEvaluationDataNumber: 18 } },
  ]
  for (const change of changes) {
    assert.notEqual(toHex(mrEnclave({ ...MANIFEST, ...change })), first, JSON.stringify(change))
  }
})

test('parseSignedManifest() refuses an edited manifest and a foreign signature', () => {
  const text = fromUtf8(signedManifestBytes(signManifest(MANIFEST, privateKey)), 'file')
  const edited = utf8(text.replace('"isvSvn":1', '"isvSvn":2'))
  assert.throws(() => parseSignedManifest(edited), { code: 'MANIFEST_SIGNATURE' })
})

test('parseManifest() refuses unknown members, wrong peers and odd paths', () => {
  const bad: Record<string, unknown>[] = [
    { ...MANIFEST, extra: 1 },
    { ...MANIFEST, version: 2 },
    { ...MANIFEST, entry: 'node' },
    { ...MANIFEST, program: 'init' },
    { ...MANIFEST, env: { 'LD PRELOAD': 'x' } },
    { ...MANIFEST, image: { sha256: '11', size: 1 } },
    { ...MANIFEST, handover: 'quote' },
    { ...MANIFEST, handover: { form: 'report' } },
    { ...MANIFEST, handover: { ...QUOTES, form: 'report' } },
    { ...MANIFEST, handover: { form: 'quote', minTcbEvaluationDataNumber: 17 } },
    { ...MANIFEST, handover: { form: 'quote', root: 'MAA=' } },
    { ...MANIFEST, handover: { ...QUOTES, root: '?' } },
    { ...MANIFEST, handover: { ...QUOTES, extra: 1 } },
  ]
  for (const value of bad) assert.throws(() => parseManifest(value), JSON.stringify(value))
})

test('signManifest() refuses a key that SGX would not take', () => {
  const other = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey
  assert.throws(() => signManifest(MANIFEST, other), { code: 'MANIFEST_INVALID' })
})
