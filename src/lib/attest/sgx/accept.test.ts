import assert from 'node:assert/strict'
import { test } from 'node:test'
import { concat, utf8, Writer } from '#lib/bytes'
import {
  bindingOf,
  FORGE_NOW,
  type ForgeParts,
  forge,
  reportBody,
  signRaw,
} from '../../../../test/support/sgx-forge.ts'
import { sgxClaims } from './claims.ts'
import type { QuotePolicy } from './policy.ts'
import { type QuoteResult, verifyQuote } from './verify.ts'

const DAY = 86_400_000
const AT = FORGE_NOW.getTime()

type Edit = (parts: ForgeParts) => void

function verify(edit: Edit = () => {}, policy: QuotePolicy = {}): QuoteResult {
  return verifyQuote({ ...forge(edit), policy })
}

function finish(change: ForgeParts['finish']): Edit {
  return (parts) => {
    parts.finish = change
  }
}

test('verifyQuote() accepts the unedited forgery and says what it checked', () => {
  const result = verify()
  assert.equal(result.verified, true)
  assert.equal(result.accepted, true)
  assert.equal(result.code, undefined)
  assert.equal(result.platform, 'simulated')
  assert.equal(result.status, 'UpToDate')
  assert.equal(result.fmspc, '53494d000000')
  assert.equal(result.tcbEvaluationDataNumber, 17)
  assert.deepEqual(
    result.checks.map((check) => check.name),
    [
      'quote-format',
      'qe-vendor',
      'pck-chain',
      'pck-extension',
      'root-crl',
      'pck-crl',
      'tcb-info',
      'qe-identity',
      'qe-report-signature',
      'qe-report-binding',
      'qe-identity-match',
      'quote-signature',
      'tcb-level',
      'enclave-attributes',
      'debug',
      'tcb-status',
    ],
  )
})

test('verifyQuote() accepts the chain in every order', () => {
  for (const chain of [
    ['pck', 'ca', 'root'],
    ['pck', 'root', 'ca'],
    ['ca', 'pck', 'root'],
    ['ca', 'root', 'pck'],
    ['root', 'pck', 'ca'],
    ['root', 'ca', 'pck'],
  ] as const) {
    const result = verify((p) => {
      p.chain = [...chain]
      p.signerChain = ['root', 'tcb']
    })
    assert.equal(result.accepted, true, chain.join(' '))
  }
})

test('verifyQuote() accepts a re-issued root with the key of the anchor', () => {
  const { anchors } = forge()
  const result = verify((p) => {
    p.root.serial = new Uint8Array(20).fill(3)
    p.root.notAfter = AT + DAY
    p.finish = (f) => {
      f.anchors = anchors
    }
  })
  assert.equal(result.accepted, true, `${result.message}`)
})

test('verifyQuote() accepts QE auth data of any length', () => {
  for (const length of [0, 1, 100, 65_535]) {
    const result = verify((p) => {
      p.authData = new Uint8Array(length).fill(5)
      p.qeReport = { ...p.qeReport, reportData: bindingOf(p.attestationKey, p.authData) }
    })
    assert.equal(result.accepted, true, `${result.message}`)
  }
})

test('verifyQuote() takes the chain from the collateral where the quote has none', () => {
  for (const type of [1, 2, 3, 4]) {
    const result = verify((p) => {
      p.certificationType = type
      p.chainInCollateral = true
    })
    assert.equal(result.accepted, true, `${result.message}`)
  }
})

test('verifyQuote() refuses a chain of another platform beside a quote that has none', () => {
  const result = verify((p) => {
    p.certificationType = 3
    p.chainInCollateral = true
    p.pck.key = 'other'
  })
  assert.equal(result.code, 'QE_REPORT_SIGNATURE')
})

test('verifyQuote() ignores a chain beside a quote that has its own', () => {
  const input = forge()
  const pckCertChain = utf8('not a chain')
  const result = verifyQuote({ ...input, collateral: { ...input.collateral, pckCertChain } })
  assert.equal(result.accepted, true, `${result.message}`)
})

test('verifyQuote() ignores zero padding after a quote', () => {
  assert.equal(
    verify(finish((f) => (f.quote = concat(f.quote, new Uint8Array(3065))))).accepted,
    true,
  )
})

test('verifyQuote() accepts SGX quotes of version 4 and 5', () => {
  for (const version of [4, 5] as const) {
    const result = verify(finish((f) => (f.quote = reframe(f.quote, version))))
    assert.equal(result.accepted, true, `${result.message}`)
  }
})

test('verifyQuote() refuses bytes left over inside the nested data of version 4', () => {
  const result = verify(finish((f) => (f.quote = reframe(f.quote, 4, new Uint8Array(1)))))
  assert.equal(result.code, 'QUOTE_FORMAT')
})

test('every length field of a quote that is one off refuses it', () => {
  const input = forge()
  const { quote } = input
  const [v4, v5] = [reframe(quote, 4), reframe(quote, 5)]
  // Signature data, QE auth data and certification data; the frame of versions 4 and 5 around them.
  for (const [bytes, fields] of [
    [quote, [432, 1012, 1048]],
    [v4, [432, 566, 1018, 1054]],
    [v5, [50, 438, 572, 1024, 1060]],
  ] as const) {
    assert.equal(verifyQuote({ ...input, quote: bytes }).verified, true)
    for (const at of fields) {
      for (const step of [1, -1]) {
        const edited = bytes.with(at, (bytes[at] ?? 0) + step)
        const { code } = verifyQuote({ ...input, quote: edited })
        assert.equal(code, 'QUOTE_FORMAT', `version ${bytes[0]}, ${at}, ${step}`)
      }
    }
  }
})

test('trailing bytes inside any artefact refuse it', () => {
  const more = (bytes: Uint8Array): Uint8Array => concat(bytes, new Uint8Array([1]))
  for (const [member, code] of [
    ['tcbInfo', 'TCB_INFO_FORMAT'],
    ['qeIdentity', 'QE_IDENTITY_FORMAT'],
    ['pckCrl', 'CRL_FORMAT'],
    ['rootCaCrl', 'CRL_FORMAT'],
    ['tcbInfoIssuerChain', 'TCB_SIGNER_FORMAT'],
    ['qeIdentityIssuerChain', 'TCB_SIGNER_FORMAT'],
  ] as const) {
    const result = verify(finish((f) => (f.collateral[member] = more(f.collateral[member]))))
    assert.equal(result.code, code, member)
  }
  for (const name of ['pck', 'ca', 'root'] as const) {
    const edit: Edit = (p) => {
      p.editCertificates = (certificates) => {
        certificates[name] = more(certificates[name])
      }
    }
    assert.equal(verify(edit).code, 'PCK_CHAIN_FORMAT', name)
  }
})

test('verifyQuote() accepts the Processor CA with five members', () => {
  const result = verify((p) => {
    p.ca.subject = 'Intel SGX PCK Processor CA'
    p.pck.issuer = p.ca.subject
    p.pckCrl.issuer = p.ca.subject
    p.sgx.platform = false
  })
  assert.equal(result.accepted, true, `${result.message}`)
  assert.equal(sgxClaims(result).platform_instance_id, undefined)
})

test('verifyQuote() takes the highest level that matches, in whatever order they are signed', () => {
  const result = verify((p) => {
    p.tcbInfo.tcbLevels.reverse()
    p.qeIdentity.tcbLevels.reverse()
  })
  assert.equal(result.status, 'UpToDate')
})

test('verifyQuote() reads TCB info of version 2', () => {
  const result = verify((p) => {
    p.tcbInfo.version = 2
    delete p.tcbInfo.id
    for (const level of p.tcbInfo.tcbLevels) {
      const { sgxtcbcomponents, pcesvn } = level.tcb
      level.tcb = { pcesvn }
      for (const [i, { svn }] of sgxtcbcomponents.entries()) {
        level.tcb[`sgxtcbcomp${String(i + 1).padStart(2, '0')}svn`] = svn
      }
    }
  })
  assert.equal(result.status, 'UpToDate', `${result.message}`)
})

test('verifyQuote() merges platform and QE status, dates and advisories', () => {
  const merged: Readonly<Record<string, string>> = {
    UpToDate: 'OutOfDate',
    SWHardeningNeeded: 'OutOfDate',
    ConfigurationNeeded: 'OutOfDateConfigurationNeeded',
    ConfigurationAndSWHardeningNeeded: 'OutOfDateConfigurationNeeded',
    OutOfDate: 'OutOfDate',
    OutOfDateConfigurationNeeded: 'OutOfDateConfigurationNeeded',
  }
  for (const [status, expected] of Object.entries(merged)) {
    const setPlatform = (p: ForgeParts): void => {
      p.tcbInfo.tcbLevels[0].tcbStatus = status
      p.tcbInfo.tcbLevels[0].advisoryIDs = ['INTEL-SA-00001', 'INTEL-SA-00002']
    }
    assert.equal(verify(setPlatform).status, status)
    const result = verify((p) => {
      setPlatform(p)
      p.qeReport = { ...p.qeReport, isvSvn: 7 }
    })
    assert.equal(result.verified, true)
    assert.equal(result.accepted, false)
    assert.equal(result.code, 'TCB_POLICY')
    assert.equal(result.status, expected)
    assert.equal(result.platformStatus, status)
    assert.equal(result.qeStatus, 'OutOfDate')
    assert.deepEqual(result.advisoryIds, ['INTEL-SA-00001', 'INTEL-SA-00002', 'INTEL-SA-00003'])
    assert.equal(result.evidence?.tcb.date, Date.parse('2023-02-15T00:00:00Z'))
  }
})

test('verifyQuote() reports the lower evaluation number', () => {
  const result = verify((p) => (p.qeIdentity.tcbEvaluationDataNumber = 16), {
    minTcbEvaluationDataNumber: 17,
  })
  assert.equal(result.tcbEvaluationDataNumber, 16)
  assert.equal(result.code, 'TCB_EVAL_NUM_TOO_OLD')
})

test('verifyQuote() throws for a time that is none, instead of finding nothing expired', () => {
  assert.throws(() => verifyQuote({ ...forge(), now: new Date(Number.NaN) }), {
    message: 'now is not a date',
  })
})

test('sgxClaims() names what CoCo names, integers as they lie in the quote', () => {
  const claims = sgxClaims(verify((p) => (p.body = reportBody({ isvSvn: 0x0102, flags: 0x85n }))))
  assert.equal(claims.body.isv_svn, '0201')
  assert.equal(claims.body['attributes.flags'], '8500000000000000')
  assert.equal(claims.header.version, '0300')
  assert.equal(claims.report_data, 'da'.repeat(64))
  assert.equal(claims.init_data, '00'.repeat(64))
  assert.equal(claims.platform_instance_id, '0f0e0d0c0b0a09080706050403020100')
  assert.equal(claims.sgx_type, 'Scalable')
  assert.equal(claims.is_cached_keys, false)
  assert.equal(claims.platform, 'simulated')
  assert.equal(claims.earliest_expiration_date, '2026-01-25T00:00:00Z')
})

/** Writes a version 3 quote as version 4 or 5 and signs it again. */
function reframe(v3: Uint8Array, version: 4 | 5, extra: Uint8Array = new Uint8Array()): Uint8Array {
  const header = concat(
    new Uint8Array([version]),
    v3.subarray(1, 8),
    new Uint8Array(4),
    v3.subarray(12, 48),
  )
  const frame = version === 5 ? new Writer().u16le(1).u32le(384).finish() : new Uint8Array()
  const signed = concat(header, frame, v3.subarray(48, 432))
  const [key, qe] = [v3.subarray(500, 564), concat(v3.subarray(564), extra)]
  const data = new Writer()
    .bytes(signRaw('attestation', signed))
    .bytes(key)
    .u16le(6)
    .u32le(qe.length)
    .bytes(qe)
    .finish()
  return new Writer().bytes(signed).u32le(data.length).bytes(data).finish()
}
