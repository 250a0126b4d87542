import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concat, utf8 } from '#lib/bytes'
import {
  FORGE_NOW,
  type ForgeParts,
  forge,
  reportBody,
} from '../../../../test/support/sgx-forge.ts'
import { checkPolicy, type QuotePolicy } from './policy.ts'
import { type QuoteResult, verifyQuote } from './verify.ts'

const DAY = 86_400_000

type Edit = (parts: ForgeParts) => void

function verify(edit: Edit = () => {}, policy: QuotePolicy = {}): QuoteResult {
  return verifyQuote({ ...forge(edit), policy })
}

const POLICY_CASES: readonly (readonly [
  what: string,
  code: string | undefined,
  policy: QuotePolicy,
  edit?: Edit,
])[] = [
  ['a debug enclave', 'DEBUG_NOT_ALLOWED', {}, (p) => (p.body = reportBody({ flags: 0x07n }))],
  [
    'a debug enclave if allowed',
    undefined,
    { allowDebug: true },
    (p) => (p.body = reportBody({ flags: 0x07n })),
  ],
  [
    'an enclave without INIT',
    'ENCLAVE_ATTRIBUTES',
    {},
    (p) => (p.body = reportBody({ flags: 0x04n })),
  ],
  [
    'an enclave with the provisioning key',
    'ENCLAVE_ATTRIBUTES',
    {},
    (p) => (p.body = reportBody({ flags: 0x15n })),
  ],
  ['a launch enclave', 'ENCLAVE_ATTRIBUTES', {}, (p) => (p.body = reportBody({ flags: 0x25n }))],
  ['the expected report data', undefined, { reportData: new Uint8Array(64).fill(0xda) }],
  ['other report data', 'REPORT_DATA_MISMATCH', { reportData: new Uint8Array(64).fill(0xdb) }],
  [
    'report data of which only a prefix is equal',
    'REPORT_DATA_MISMATCH',
    { reportData: new Uint8Array(48).fill(0xda) },
  ],
  [
    'the expected config id',
    undefined,
    { configId: utf8('init') },
    (p) =>
      (p.body = reportBody({ flags: 0x85n, configId: concat(utf8('init'), new Uint8Array(60)) })),
  ],
  [
    'another config id',
    'CONFIG_ID_MISMATCH',
    { configId: utf8('other') },
    (p) => (p.body = reportBody({ flags: 0x85n })),
  ],
  ['a config id without KSS', 'CONFIG_ID_MISMATCH', { configId: new Uint8Array(64) }],
  [
    'a listed build',
    undefined,
    { enclaves: [{ mrEnclave: new Uint8Array(32) }, { mrEnclave: new Uint8Array(32).fill(0xee) }] },
  ],
  [
    'a build that is not listed',
    'MEASUREMENT_MISMATCH',
    { enclaves: [{ mrEnclave: new Uint8Array(32) }] },
  ],
  ['anything against an empty list', 'MEASUREMENT_MISMATCH', { enclaves: [] }],
  [
    'a listed product',
    undefined,
    { enclaves: [{ mrSigner: new Uint8Array(32).fill(0x55), isvProdId: 1, minIsvSvn: 1 }] },
  ],
  [
    'another author',
    'MEASUREMENT_MISMATCH',
    { enclaves: [{ mrSigner: new Uint8Array(32), isvProdId: 1, minIsvSvn: 1 }] },
  ],
  [
    'another product',
    'MEASUREMENT_MISMATCH',
    { enclaves: [{ mrSigner: new Uint8Array(32).fill(0x55), isvProdId: 2, minIsvSvn: 1 }] },
  ],
  [
    'an old version',
    'MEASUREMENT_MISMATCH',
    { enclaves: [{ mrSigner: new Uint8Array(32).fill(0x55), isvProdId: 1, minIsvSvn: 2 }] },
  ],
  ['an out-of-date platform', 'TCB_POLICY', {}, (p) => (p.sgx.components[0] = 2)],
  [
    'an out-of-date platform if allowed',
    undefined,
    { tcbStatuses: ['OutOfDate'] },
    (p) => (p.sgx.components[0] = 2),
  ],
  ['a status that is not listed', 'TCB_POLICY', { tcbStatuses: ['OutOfDate'] }],
  [
    'an advisory that is not listed',
    'TCB_POLICY',
    { tcbStatuses: ['OutOfDate'], allowedAdvisoryIds: ['INTEL-SA-00001'] },
    (p) => (p.sgx.components[0] = 2),
  ],
  [
    'listed advisories',
    undefined,
    { tcbStatuses: ['OutOfDate'], allowedAdvisoryIds: ['INTEL-SA-00001', 'INTEL-SA-00002'] },
    (p) => (p.sgx.components[0] = 2),
  ],
  ['a TCB date that is too old', 'TCB_POLICY', { maxTcbAge: 30 * DAY }],
  ['a TCB date that is recent enough', undefined, { maxTcbAge: 100 * DAY }],
  [
    'an evaluation number that is too low',
    'TCB_EVAL_NUM_TOO_OLD',
    { minTcbEvaluationDataNumber: 18 },
  ],
  ['the lowest evaluation number', undefined, { minTcbEvaluationDataNumber: 17 }],
]

for (const [what, code, policy, edit] of POLICY_CASES) {
  test(`verifyQuote() ${code === undefined ? 'accepts' : `refuses (${code})`} ${what}`, () => {
    const result = verify(edit, policy)
    assert.equal(result.verified, true, `${result.message}`)
    assert.equal(result.code, code, `${result.message}`)
    assert.equal(result.accepted, code === undefined)
    const failed = result.checks.filter((check) => !check.ok)
    assert.equal(failed.length, code === undefined ? 0 : 1)
    for (const check of failed) assert.ok(check.expected && check.actual)
  })
}

test('verifyQuote() makes all checks of the policy and names the first that fails', () => {
  const result = verify((p) => (p.body = reportBody({ flags: 0x07n })), {
    reportData: new Uint8Array(64),
    enclaves: [],
    minTcbEvaluationDataNumber: 99,
  })
  assert.equal(result.code, 'DEBUG_NOT_ALLOWED')
  assert.deepEqual(
    result.checks.filter((check) => !check.ok).map((check) => check.name),
    ['debug', 'report-data', 'measurement', 'tcb-evaluation-number'],
  )
})

test('verifyQuote() never accepts a revoked TCB, whatever the policy lists', () => {
  const result = verify((p) => (p.tcbInfo.tcbLevels[0].tcbStatus = 'Revoked'), {
    tcbStatuses: ['Revoked'],
  })
  assert.equal(result.code, 'TCB_REVOKED')
  assert.equal(result.status, 'Revoked')
  assert.equal(result.accepted, false)
})

test('checkPolicy() refuses Revoked even if it is listed', () => {
  const { evidence } = verify()
  assert.ok(evidence)
  const checks = checkPolicy(
    {
      report: evidence.quote.body,
      tcb: { ...evidence.tcb, status: 'Revoked' },
      tcbEvaluationDataNumber: evidence.tcbEvaluationDataNumber,
      now: FORGE_NOW.getTime(),
    },
    { tcbStatuses: ['Revoked'] },
  )
  const status = checks.find((check) => check.name === 'tcb-status')
  assert.equal(status?.failure?.code, 'TCB_POLICY')
})
