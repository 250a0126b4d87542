import { encodeQuote, parseQuote, verifyQuote } from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { sgxCase } from '../support/sgx-vectors.ts'

/**
 * A quote for the parser and the verifier: a typed error, or a quote that is encoded as it was, and
 * a verdict. Only a real quote is genuine: mutations must not be found so, apart from its unsigned end.
 */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /\.bin$/,
  seeds: () => [genuine.input.quote],
  run: fuzzQuote,
}

const genuine = sgxCase('sgx-00a067110000-jun25')
const SIGNED = genuine.input.quote.subarray(0, -1)
const NOW = new Date('2025-07-04T10:28:44Z')

function fuzzQuote(data: Uint8Array): void {
  const result = verifyQuote({ ...genuine.input, quote: data, now: NOW })
  if (result.verified && !equalBytes(data.subarray(0, SIGNED.length), SIGNED)) {
    // White space between PEM lines is signed by nobody; the certificates themselves are.
    const { quote } = result.evidence ?? {}
    const same = quote && equalBytes(quote.signed, SIGNED.subarray(0, quote.signed.length))
    if (!same) throw new Error('a mutated quote is genuine')
  }
  const quote = parseQuote(data)
  if (quote.version !== 3) return
  const encoded = encodeQuote(quote)
  if (!equalBytes(encoded, data.subarray(0, encoded.length))) {
    throw new Error('a quote is not encoded as it was')
  }
  if (result.checks.length === 0) throw new CodedError('INTERNAL', 'no check was made')
}
