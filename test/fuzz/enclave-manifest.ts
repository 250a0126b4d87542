import assert from 'node:assert/strict'
import { createPublicKey, generateKeyPairSync } from 'node:crypto'
import { utf8 } from '#lib/bytes'
import {
  type EnclaveManifest,
  manifestBytes,
  parseSignedManifest,
  signedManifestBytes,
  signManifest,
} from '#lib/manifest'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const MANIFEST: EnclaveManifest = {
  version: 1,
  program: 'init',
  image: { sha256: '11'.repeat(32), size: 4096 },
  entry: '/usr/bin/node',
  args: ['--no-addons', '/usr/lib/enclave-cc/init.cjs'],
  env: { PATH: '/usr/bin' },
  attributes: { debug: false },
  isvProdId: 2,
  isvSvn: 1,
  builtAt: 1_700_000_000,
  peers: { agent: { mrSigner: '22'.repeat(32), isvProdId: 1, minIsvSvn: 1 } },
}

/** A signed manifest: a typed error, or, since nobody here can sign, one of the manifests that were signed. */
export const target: FuzzTarget = { format: 'enclave-manifest', seeds, run: fuzzManifest }

const QUOTES = { form: 'quote', root: 'MAA=', minTcbEvaluationDataNumber: 17 } as const

const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 3072, publicExponent: 3 })
const { n: SIGNER } = createPublicKey(privateKey).export({ format: 'jwk' })

function* seeds(): Generator<Uint8Array> {
  yield signedManifestBytes(signManifest(MANIFEST, privateKey))
  yield signedManifestBytes(signManifest({ ...MANIFEST, handover: QUOTES }, privateKey))
  yield utf8(JSON.stringify(JSON.parse(Buffer.from([...seed()]).toString()), undefined, 2))
}

function seed(): Uint8Array {
  return signedManifestBytes(signManifest(MANIFEST, privateKey))
}

function fuzzManifest(data: Uint8Array): void {
  const signed = parseSignedManifest(data)
  assert.deepEqual(parseSignedManifest(signedManifestBytes(signed)), signed)
  if (Buffer.from(signed.signer).toString('base64url') !== SIGNER) return
  const known = [MANIFEST, { ...MANIFEST, handover: QUOTES }].map(manifestBytes)
  const found = Buffer.from(manifestBytes(signed.manifest))
  assert.ok(
    known.some((bytes) => found.equals(bytes)),
    'a manifest that nobody signed',
  )
}
