import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { openCollateralBundle, signCollateralBundle } from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { readVector, sgxCase } from '../support/sgx-vectors.ts'

/** A signed bundle, changed: a typed error, or what was signed. */
export const target: FuzzTarget = { format: 'collateral', seeds: () => [BYTES], run: fuzzBundle }

const CASE = 'sgx-00a067110000-jun25'
const KEYS = generateKeyPairSync('ed25519', {
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
})
const SET = {
  ...sgxCase(CASE).input.collateral,
  pckCrlIssuerChain: readVector(CASE, 'pckCrlIssuerChain.pem'),
}
const BYTES = signCollateralBundle({ createdAt: 0, sets: [SET] }, KEYS.privateKey)

function fuzzBundle(data: Uint8Array): void {
  const { createdAt, sets } = openCollateralBundle(data, KEYS.publicKey)
  assert.equal(createdAt, 0)
  assert.equal(sets.length, 1)
  assert.ok(equalBytes(sets[0]?.tcbInfo ?? new Uint8Array(), SET.tcbInfo))
}
