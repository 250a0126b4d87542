import assert from 'node:assert/strict'
import { test } from 'node:test'
import { collateralObject, intelSgxRoot } from '#lib/attest'
import { toBase64 } from '#lib/bytes'
import { encodePem } from '#lib/x509'
import { sgxCase } from '../../../test/support/sgx-vectors.ts'
import { type Appraisal, type AppraiseBasis, appraise } from './appraise.ts'
import { readRoot } from './root.ts'

const PEM = encodePem(intelSgxRoot().certificate.raw, 'CERTIFICATE')

/** A broker whose policy accepts whatever is genuine, so that nothing else refuses. */
const BASIS: AppraiseBasis = {
  roots: [readRoot(PEM, 'sgx', '2025-01-01T00:00:00Z')],
  references: [],
  policy: '@id("all") permit(principal, action, resource);',
  pin: 'sha256:none',
  floor: () => 0n,
  collateral: () => undefined,
  collateralGrace: 0,
}

/** Appraises a real quote over the report data that it has, at a time when it was good. */
function judge(name: string, at: string, reportData: Uint8Array): Appraisal {
  const { quote, collateral } = sgxCase(name).input
  const evidence = { quote: toBase64(quote), collateral: collateralObject(collateral) }
  return appraise({ evidence, initData: undefined, reportData, now: Date.parse(at) }, BASIS)
}

test('a genuine TDX quote is no evidence of an enclave, whatever the policy permits', () => {
  const enclave = 'sgx-00606a000000-jun25-eval17'
  const own = sgxCase(enclave).input.quote.subarray(48 + 320, 48 + 384)
  const good = judge(enclave, '2025-06-27T22:51:32Z', own)
  assert.equal(good.code, 'ALLOWED', JSON.stringify(good.claims))
  const domain = 'tdx-b0c06f000000-jun25'
  const report = sgxCase(domain).input.quote.subarray(48 + 520, 48 + 584)
  const refused = judge(domain, '2025-07-04T10:16:31Z', report)
  assert.equal(refused.code, 'APPRAISE_EVIDENCE')
  assert.equal(refused.accepted, undefined)
  assert.equal(refused.claims.at(-1)?.name, 'quote-format')
  assert.match(`${refused.claims.at(-1)?.actual}`, /0x81/)
})
