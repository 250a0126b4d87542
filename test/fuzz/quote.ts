import assert from 'node:assert/strict'
import { encodeQuote, encodeSignedPart, parseQuote } from '#lib/attest'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { vectorBytes } from '../support/vector-file.ts'

/** A quote: a typed error, or one whose parts lie inside it and, in version 3, encode to the same bytes. */
export const target: FuzzTarget = {
  format: 'sgx',
  files: /(?:^|\/)quote.*\.bin$/,
  seeds: () => [vectorBytes('sgx/sgx-00606a000000-jun25-eval17/quote.bin')],
  run: fuzzQuote,
}

function fuzzQuote(data: Uint8Array): void {
  const quote = parseQuote(data)
  assert.deepEqual(quote.signed, data.subarray(0, quote.signed.length))
  if (quote.version !== 3) return
  assert.deepEqual(encodeSignedPart(quote), new Uint8Array(quote.signed))
  const encoded = encodeQuote(quote)
  assert.deepEqual(encoded, data.slice(0, encoded.length))
  assert.ok(data.subarray(encoded.length).every((byte) => byte === 0))
}
