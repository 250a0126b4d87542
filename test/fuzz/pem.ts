import assert from 'node:assert/strict'
import { encodePem, splitPem } from '#lib/x509'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorBytes } from '../support/vector-file.ts'

/** A chain of certificates as PEM: a typed error, or blocks that read the same when written again. */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /Chain\.pem$|root-ca\.pem$/,
  seeds: () => [vectorBytes('sgx/intel-sgx-root-ca.pem')],
  run: fuzzPem,
}

function fuzzPem(data: Uint8Array): void {
  const blocks = splitPem(data, 'CERTIFICATE', 8)
  const text = blocks.map((block) => encodePem(block, 'CERTIFICATE')).join('')
  assert.deepEqual(splitPem(text, 'CERTIFICATE', 8), blocks)
}
