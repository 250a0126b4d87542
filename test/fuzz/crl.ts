import assert from 'node:assert/strict'
import { decodeCrl } from '#lib/attest'
import { parseCrl } from '#lib/x509'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorBytes } from '../support/vector-file.ts'

/** A revocation list in any of the forms that services serve: a typed error, or what it says. */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /(?:Crl\.der|pckcrl-.*\.(?:der|pem))$/,
  seeds: () => [
    vectorBytes('sgx/sgx-00606a000000-jun25-eval17/pckCrl.der'),
    vectorBytes('sgx/pcs-responses/pckcrl-platform.pem'),
  ],
  run: fuzzCrl,
}

function fuzzCrl(data: Uint8Array): void {
  const crl = parseCrl(decodeCrl(data))
  assert.ok(Number.isFinite(crl.thisUpdate))
  for (const serial of crl.revoked) assert.match(serial, /^[0-9a-f]+$/)
}
