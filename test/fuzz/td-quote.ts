import assert from 'node:assert/strict'
import { AttestError, parseTdQuote, verifyTdQuote } from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { sgxCase } from '../support/sgx-vectors.ts'

/**
 * A genuine quote over a trust domain, changed: it verifies only if what its attestation key signed is
 * untouched. The verifier reports what it finds and never throws.
 */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /^tdx-b0c06f000000-jun25\/quote\.bin$/,
  seeds: () => [GENUINE.input.quote],
  run: fuzzTdQuote,
}

const GENUINE = sgxCase('tdx-b0c06f000000-jun25')
const NOW = new Date(GENUINE.expected.checks.find(({ expect }) => expect.ok)?.at ?? 0)
const { signed: SIGNED } = parseTdQuote(GENUINE.input.quote)

function fuzzTdQuote(data: Uint8Array): void {
  const { verified, code, message } = verifyTdQuote({ ...GENUINE.input, quote: data, now: NOW })
  if (!verified) throw new AttestError(code ?? 'QUOTE_FORMAT', message ?? 'no reason was given')
  assert.ok(equalBytes(parseTdQuote(data).signed, SIGNED))
}
