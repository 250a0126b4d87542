import assert from 'node:assert/strict'
import { AttestError, parseQuote, verifyQuote } from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { sgxCase } from '../support/sgx-vectors.ts'

/**
 * A genuine quote, changed: it verifies only if what its attestation key signed is untouched. The verifier
 * reports what it finds and never throws.
 */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /^sgx-00606a000000-jun25-eval17\/quote\.bin$/,
  seeds: () => [GENUINE.input.quote],
  run: fuzzVerification,
}

const GENUINE = sgxCase('sgx-00606a000000-jun25-eval17')
const NOW = new Date(GENUINE.expected.checks.find(({ expect }) => expect.ok)?.at ?? 0)
const { signed: SIGNED } = parseQuote(GENUINE.input.quote)

function fuzzVerification(data: Uint8Array): void {
  const { verified, code, message } = verifyQuote({ ...GENUINE.input, quote: data, now: NOW })
  if (!verified) throw new AttestError(code ?? 'QUOTE_FORMAT', message ?? 'no reason was given')
  assert.ok(equalBytes(parseQuote(data).signed, SIGNED))
}
