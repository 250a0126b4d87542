import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concat } from '#lib/bytes'
import { forgeTd } from '../../../../test/support/td-forge.ts'
import { type TdQuotePolicy, type TdQuoteResult, verifyTdQuote } from './verify-td.ts'

type Edit = NonNullable<Parameters<typeof forgeTd>[0]>

function verify(edit: Edit = () => {}, policy: TdQuotePolicy = {}): TdQuoteResult {
  return verifyTdQuote({ ...forgeTd(edit), policy })
}

const svns = (...values: number[]): number[] => [
  ...values,
  ...new Array(16 - values.length).fill(0),
]

test('verifyTdQuote() accepts the unedited forgery', () => {
  const result = verify()
  assert.equal(result.accepted, true, `${result.message}`)
  assert.equal(result.platform, 'simulated')
  assert.equal(result.status, 'UpToDate')
  assert.equal(result.moduleStatus, undefined)
  assert.equal(result.mrTd, '02'.repeat(48))
  assert.equal(result.rtmr.length, 4)
  assert.equal(result.rtmr[3], '09'.repeat(48))
})

test('verifyTdQuote() accepts version 5 with TD reports 1.0 and 1.5', () => {
  for (const teeTcbSvn2 of [undefined, svns(5, 0, 6)]) {
    const result = verify((fields, _, frame) => {
      frame.version = 5
      fields.teeTcbSvn2 = teeTcbSvn2
    })
    assert.equal(result.accepted, true, `${result.message}`)
  }
})

const CASES: readonly (readonly [what: string, code: string, edit: Edit])[] = [
  ['a TD report 1.5 in version 4', 'QUOTE_FORMAT', (f) => (f.teeTcbSvn2 = svns(5, 0, 6))],
  [
    'a body type of SGX',
    'QUOTE_TEE_TYPE',
    (_, __, frame) => Object.assign(frame, { version: 5, bodyType: 1 }),
  ],
  [
    'a body type that is not known',
    'QUOTE_TEE_TYPE',
    (_, __, frame) => Object.assign(frame, { version: 5, bodyType: 4 }),
  ],
  [
    'a body size of another type',
    'QUOTE_FORMAT',
    (_, __, frame) => Object.assign(frame, { version: 5, bodySize: 648 }),
  ],
  ['TCB info of SGX', 'TCB_INFO_FORMAT', (_, p) => (p.tcbInfo.id = 'SGX')],
  [
    'TCB info of SGX without members of TDX',
    'TCB_INFO_MISMATCH',
    (_, p) => {
      p.tcbInfo.id = 'SGX'
      delete p.tcbInfo.tdxModule
      delete p.tcbInfo.tdxModuleIdentities
    },
  ],
  ['TCB info without a module', 'TCB_INFO_FORMAT', (_, p) => delete p.tcbInfo.tdxModule],
  [
    'a level without components of TDX',
    'TCB_INFO_FORMAT',
    (_, p) => delete p.tcbInfo.tcbLevels[1].tcb.tdxtcbcomponents,
  ],
  [
    'fifteen components of TDX',
    'TCB_INFO_FORMAT',
    (_, p) => p.tcbInfo.tcbLevels[1].tcb.tdxtcbcomponents.pop(),
  ],
  [
    'a module identity twice',
    'TCB_INFO_FORMAT',
    (_, p) => p.tcbInfo.tdxModuleIdentities.push(p.tcbInfo.tdxModuleIdentities[0]),
  ],
  ['the identity of the QE of SGX', 'QE_IDENTITY_ID', (_, p) => (p.qeIdentity.id = 'QE')],
  [
    'another author of the module',
    'TDX_MODULE_MISMATCH',
    (f) => (f.mrSignerSeam = new Uint8Array(48).fill(1)),
  ],
  [
    'attributes of the module',
    'TDX_MODULE_MISMATCH',
    (f) => (f.seamAttributes = new Uint8Array(8).fill(1)),
  ],
  [
    'attributes of the module that the mask would allow',
    'TDX_MODULE_MISMATCH',
    (f, p) => {
      f.seamAttributes = new Uint8Array(8).with(0, 1)
      p.tcbInfo.tdxModule.attributesMask = '00'.repeat(8)
    },
  ],
  ['a module without identity', 'TDX_MODULE_MISMATCH', (f) => (f.teeTcbSvn = svns(5, 2, 6))],
  [
    'another author of a module with identity',
    'TDX_MODULE_MISMATCH',
    (f, p) => {
      f.teeTcbSvn = svns(4, 1, 6)
      p.tcbInfo.tdxModuleIdentities[0].mrsigner = '01'.repeat(48)
    },
  ],
  ['a module below every level', 'TCB_NOT_SUPPORTED', (f) => (f.teeTcbSvn = svns(1, 1, 6))],
  [
    'components of TDX below every level',
    'TCB_NOT_SUPPORTED',
    (f) => (f.teeTcbSvn = svns(2, 0, 9)),
  ],
  [
    'the third component below every level',
    'TCB_NOT_SUPPORTED',
    (f) => (f.teeTcbSvn = svns(9, 1, 3)),
  ],
  ['a platform below every level', 'TCB_NOT_SUPPORTED', (_, p) => (p.sgx.components[7] = 2)],
  [
    'a module status that is not known',
    'TCB_STATUS_UNKNOWN',
    (f, p) => {
      f.teeTcbSvn = svns(4, 1, 6)
      p.tcbInfo.tdxModuleIdentities[0].tcbLevels[1].tcbStatus = 'SWHardeningNeeded'
    },
  ],
  [
    'a revoked module',
    'TCB_REVOKED',
    (f, p) => {
      f.teeTcbSvn = svns(4, 1, 6)
      p.tcbInfo.tdxModuleIdentities[0].tcbLevels[1].tcbStatus = 'Revoked'
    },
  ],
  [
    'a quote signed by another key',
    'QUOTE_SIGNATURE',
    (_, p) => {
      p.finish = (finished) => {
        const at = 48 + 16
        finished.quote = finished.quote.with(at, (finished.quote[at] ?? 0) ^ 1)
      }
    },
  ],
  [
    'bytes after the quote',
    'QUOTE_FORMAT',
    (_, p) => {
      p.finish = (finished) => {
        finished.quote = concat(finished.quote, new Uint8Array([0, 1]))
      }
    },
  ],
  ['a revoked leaf', 'PCK_REVOKED', (_, p) => p.pckCrl.revoked.push(p.pck.serial)],
]

for (const [what, code, edit] of CASES) {
  test(`verifyTdQuote() refuses ${what}: ${code}`, () => {
    const result = verify(edit)
    assert.equal(result.code, code, `${result.message}`)
    assert.equal(result.verified, false)
    assert.equal(result.accepted, false)
    assert.equal(result.evidence, undefined)
    const failed = result.checks.at(-1)
    assert.equal(failed?.ok, false)
    for (const fact of [failed.field, failed.expected, failed.actual]) assert.match(`${fact}`, /\S/)
    assert.doesNotMatch(JSON.stringify(Object.entries(failed)), /undefined/)
  })
}

test('verifyTdQuote() compares bytes 0 and 1 only where the module has no levels of its own', () => {
  // As components, 4 and 1 would not reach the 5 and 0 of the highest level.
  const result = verify((f) => (f.teeTcbSvn = svns(4, 1, 6)))
  assert.equal(result.status, 'UpToDate', `${result.message}`)
  assert.equal(result.moduleStatus, 'UpToDate')
  assert.equal(verify((f) => (f.teeTcbSvn = svns(4, 0, 6))).status, 'OutOfDate')
})

test('verifyTdQuote() merges the module as it merges the quoting enclave', () => {
  const old = (f: { teeTcbSvn: number[] }): number[] => (f.teeTcbSvn = svns(3, 1, 6))
  const result = verify(old)
  assert.equal(result.verified, true)
  assert.equal(result.accepted, false)
  assert.equal(result.code, 'TCB_POLICY')
  assert.equal(result.status, 'OutOfDate')
  assert.equal(result.platformStatus, 'UpToDate')
  assert.equal(result.moduleStatus, 'OutOfDate')
  assert.equal(result.evidence?.tcb.date, Date.parse('2022-01-01T00:00:00Z'))
  const configuration = verify((f, p) => {
    old(f)
    p.tcbInfo.tcbLevels[0].tcbStatus = 'ConfigurationNeeded'
  })
  assert.equal(configuration.status, 'OutOfDateConfigurationNeeded')
})

test('verifyTdQuote() advises a new launch where the module was updated under the domain', () => {
  const updated: Edit = (f, _, frame) => {
    frame.version = 5
    f.teeTcbSvn = svns(3, 0, 4)
    f.teeTcbSvn2 = svns(5, 0, 6)
  }
  const result = verify(updated)
  assert.equal(result.status, 'TDRelaunchAdvised', `${result.message}`)
  assert.equal(result.code, 'TCB_POLICY')
  const configuration = verify((f, p, frame) => {
    updated(f, p, frame)
    p.tcbInfo.tcbLevels[0].tcbStatus = 'ConfigurationNeeded'
  })
  assert.equal(configuration.status, 'TDRelaunchAdvisedConfigurationNeeded')
  const allowed = verify(updated, { tcbStatuses: ['TDRelaunchAdvised'] })
  assert.equal(allowed.accepted, true)
  const stillOld = verify((f, p, frame) => {
    updated(f, p, frame)
    f.teeTcbSvn2 = svns(3, 0, 4)
  })
  assert.equal(stillOld.status, 'OutOfDate')
})

test('verifyTdQuote() refuses debug domains unless the policy allows them', () => {
  // Any bit of the group counts, not the first alone.
  for (const bit of [0x01n, 0x40n]) {
    const debug: Edit = (f) => (f.tdAttributes |= bit)
    const result = verify(debug)
    assert.equal(result.verified, true)
    assert.equal(result.debug, true)
    assert.equal(result.code, 'DEBUG_NOT_ALLOWED')
    assert.equal(verify(debug, { allowDebug: true }).accepted, true)
  }
})

test('verifyTdQuote() refuses old collateral by evaluation number', () => {
  const result = verify(() => {}, { minTcbEvaluationDataNumber: 18 })
  assert.equal(result.code, 'TCB_EVAL_NUM_TOO_OLD')
})
