import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fromHex } from '#lib/bytes'
import { sgxCase } from '../../../../test/support/sgx-vectors.ts'
import { parseTdQuote } from './td-quote.ts'
import { verifyTdQuote } from './verify-td.ts'

const { expected, input } = sgxCase('tdx-b0c06f000000-jun25')
const now = new Date('2025-07-04T10:16:31Z')

for (const { name: when, at, expect } of expected.checks) {
  test(`tdx-b0c06f000000-jun25 ${when}: ${expect.status ?? expect.anyOf?.join(' or ')}`, () => {
    const result = verifyTdQuote({ ...input, now: new Date(at) })
    assert.equal(result.verified, expect.ok, `${result.message}`)
    if (!expect.ok) {
      assert.ok(expect.anyOf?.includes(`${result.code}`), `${result.code}`)
      return
    }
    assert.equal(result.accepted, true)
    assert.equal(result.platform, 'sgx')
    assert.equal(result.status, expect.status)
    assert.equal(result.platformStatus, expect.platformStatus)
    assert.equal(result.qeStatus, expect.qeStatus)
    assert.equal(result.evidence?.tcb.date, Date.parse(expect.tcbDate ?? ''))
    assert.equal(result.tcbEvaluationDataNumber, expect.tcbEvaluationDataNumber)
    assert.deepEqual(result.advisoryIds, expect.advisoryIDs)
    assert.equal(result.debug, expect.debug)
    assert.equal(result.fmspc, expected.fmspc)
  })
}

test('a quote over an enclave is refused by name where domains are asked for', () => {
  const { input: enclave } = sgxCase('sgx-00a067110000-jun25')
  assert.equal(verifyTdQuote({ ...enclave, now }).code, 'QUOTE_TEE_TYPE')
})

test('collateral of SGX does not verify a TDX quote of the same platform', () => {
  const { collateral } = sgxCase('sgx-00a067110000-jun25').input
  const { tcbInfo, qeIdentity } = collateral
  for (const [member, code] of [
    [{ tcbInfo }, 'TCB_INFO_MISMATCH'],
    [{ qeIdentity }, 'QE_IDENTITY_ID'],
  ] as const) {
    const edited = { ...input.collateral, ...member }
    assert.equal(verifyTdQuote({ ...input, collateral: edited, now }).code, code)
  }
})

test('every truncation of a TDX quote is refused, up to the padding that ends it', () => {
  const { quote } = input
  const end = quote.length - expected.trailingBytes
  for (let length = 0; length < end; length++) {
    const result = verifyTdQuote({ ...input, quote: quote.subarray(0, length), now })
    assert.equal(result.code, 'QUOTE_FORMAT', `${length} bytes`)
  }
  assert.equal(verifyTdQuote({ ...input, quote: quote.subarray(0, end), now }).accepted, true)
})

test('a flipped bit in any signed byte of a TDX quote refuses it', () => {
  const { quote } = input
  const { signed } = parseTdQuote(quote)
  const copy = quote.slice()
  for (let at = 0; at < signed.length; at += 3) {
    copy[at] = (quote[at] ?? 0) ^ (1 << (at % 8))
    assert.equal(verifyTdQuote({ ...input, quote: copy, now }).verified, false, `byte ${at}`)
    copy[at] = quote[at] ?? 0
  }
})

test('the policy for domains looks at MRTD and report data', () => {
  const { report } = parseTdQuote(input.quote)
  const good = { mrTds: [report.mrTd], reportData: report.reportData }
  assert.equal(verifyTdQuote({ ...input, now, policy: good }).accepted, true)
  const { code } = verifyTdQuote({ ...input, now, policy: { ...good, mrTds: [] } })
  assert.equal(code, 'MEASUREMENT_MISMATCH')
  const reportData = fromHex('01', 'report data')
  const other = verifyTdQuote({ ...input, now, policy: { ...good, reportData } })
  assert.equal(other.code, 'REPORT_DATA_MISMATCH')
})

test('verifyTdQuote() throws for a time that is none', () => {
  assert.throws(() => verifyTdQuote({ ...input, now: new Date(Number.NaN) }), RangeError)
})
