import assert from 'node:assert/strict'
import { test } from 'node:test'
import { derEnumerated, derOctets, derSequence } from '#lib/asn1'
import { concat, fromUtf8, utf8 } from '#lib/bytes'
import {
  bindingOf,
  extension,
  FORGE_NOW,
  type ForgeParts,
  forge,
  pointOf,
} from '../../../../test/support/sgx-forge.ts'
import { sgxClaims } from './claims.ts'
import type { QuotePolicy } from './policy.ts'
import { type QuoteResult, verifyQuote } from './verify.ts'

const AT = FORGE_NOW.getTime()
const SHA384 = '1.2.840.10045.4.3.3'

function verify(edit: Edit = () => {}, policy: QuotePolicy = {}): QuoteResult {
  return verifyQuote({ ...forge(edit), policy })
}

type Edit = (parts: ForgeParts) => void

/** Edits finished artefacts. */
function finish(change: ForgeParts['finish']): Edit {
  return (parts) => {
    parts.finish = change
  }
}

/** Moves root and TCB signer to another key. */
const underOtherRoot: Edit = (p) => {
  p.root.key = 'other'
  for (const spec of [p.root, p.tcb]) {
    spec.signer = 'other'
    spec.authority = 'other'
  }
}

const serial = (fill: number): Uint8Array =>
  concat(new Uint8Array(2), new Uint8Array(18).fill(fill))

type Case = readonly [what: string, code: string, edit: Edit]

const CASES: readonly Case[] = [
  [
    'an indirect CRL',
    'CRL_FORMAT',
    (p) => {
      p.pckCrl.revoked.push(new Uint8Array([1]))
      p.pckCrl.entryExtensions.push(extension('2.5.29.29', derSequence(), true))
    },
  ],
  [
    'a revoked leaf with the reason removeFromCRL',
    'PCK_REVOKED',
    (p) => {
      p.pckCrl.revoked.push(p.pck.serial)
      p.pckCrl.entryExtensions.push(extension('2.5.29.21', derEnumerated(8)))
    },
  ],
  [
    'bytes after the signature data',
    'QUOTE_FORMAT',
    finish((f) => (f.quote = concat(f.quote, utf8('x')))),
  ],
  ['a signature data length of 4 GiB', 'QUOTE_FORMAT', finish((f) => f.quote.fill(0xff, 432, 436))],
  [
    'a certification data size that leaves bytes over',
    'QUOTE_FORMAT',
    finish((f) => (f.quote[1048] = (f.quote[1048] ?? 0) - 1)),
  ],
  ['version 2', 'QUOTE_VERSION', finish((f) => (f.quote[0] = 2))],
  ['version 6', 'QUOTE_VERSION', finish((f) => (f.quote[0] = 6))],
  ['a TDX quote', 'QUOTE_TEE_TYPE', finish((f) => (f.quote[4] = 0x81))],
  ['an EPID key type', 'QUOTE_ATT_KEY_TYPE', finish((f) => (f.quote[2] = 0))],
  ['a P-384 key type', 'QUOTE_ATT_KEY_TYPE', finish((f) => (f.quote[2] = 3))],
  ['another vendor of the QE', 'QUOTE_QE_VENDOR', (p) => (p.vendor = new Uint8Array(16))],
  ...[1, 2, 3, 4].map(
    (type): Case => [
      `certification data of type ${type} and no chain`,
      'QUOTE_CERT_DATA_TYPE',
      (p) => (p.certificationType = type),
    ],
  ),
  ...[0, 6, 7, 8].map(
    (type): Case => [
      `certification data of type ${type}, even with a chain beside it`,
      'QUOTE_CERT_DATA_TYPE',
      (p) => {
        p.certificationType = type
        p.chainInCollateral = true
      },
    ],
  ),
  ['two certificates', 'PCK_CHAIN_LENGTH', (p) => (p.chain = ['pck', 'ca'])],
  ['four certificates', 'PCK_CHAIN_LENGTH', (p) => (p.chain = ['pck', 'ca', 'root', 'tcb'])],
  ['a second copy of the leaf', 'CHAIN_NAME', (p) => (p.chain = ['pck', 'pck', 'root'])],
  ['two roots', 'CHAIN_NAME', (p) => (p.chain = ['pck', 'root', 'root'])],
  ['no root', 'CHAIN_NAME', (p) => (p.chain = ['pck', 'ca', 'tcb'])],
  [
    'an unknown critical extension',
    'PCK_CHAIN_FORMAT',
    (p) => p.pck.extensions.push(extension('1.2.3', derOctets(new Uint8Array()), true)),
  ],
  [
    'the SGX extension twice',
    'PCK_CHAIN_FORMAT',
    (p) => p.pck.extensions.push(extension('1.2.840.113741.1.13.1', derSequence())),
  ],
  ['a leaf with another algorithm', 'PCK_CHAIN_FORMAT', (p) => (p.pck.algorithm = SHA384)],
  ['a TCB signer with another algorithm', 'TCB_SIGNER_FORMAT', (p) => (p.tcb.algorithm = SHA384)],
  ['a PCK CRL with another algorithm', 'CRL_FORMAT', (p) => (p.pckCrl.algorithm = SHA384)],
  ['a leaf without key usage', 'PCK_CHAIN_FORMAT', (p) => p.pck.without.push('2.5.29.15')],
  [
    'an authority without basic constraints',
    'PCK_CHAIN_FORMAT',
    (p) => p.ca.without.push('2.5.29.19'),
  ],
  ['a leaf without authority key id', 'PCK_CHAIN_FORMAT', (p) => p.pck.without.push('2.5.29.35')],
  [
    'an authority without subject key id',
    'PCK_CHAIN_FORMAT',
    (p) => p.ca.without.push('2.5.29.14'),
  ],
  ['no anchors at all', 'ROOT_UNTRUSTED', finish((f) => (f.anchors = []))],
  [
    'another root key',
    'ROOT_UNTRUSTED',
    finish((f) => (f.anchors = forge(underOtherRoot).anchors)),
  ],
  ['a leaf of another name', 'PCK_SUBJECT', (p) => (p.pck.subject = 'Intel SGX TCB Signing')],
  [
    'an authority of another name',
    'PCK_SUBJECT',
    (p) => {
      p.ca.subject = 'Intel SGX PCK Other CA'
      p.pck.issuer = 'Intel SGX PCK Other CA'
    },
  ],
  [
    'a leaf that names another issuer',
    'CHAIN_NAME',
    (p) => (p.pck.issuer = 'Intel SGX PCK Processor CA'),
  ],
  ['a leaf that names another issuer key', 'CHAIN_NAME', (p) => (p.pck.authority = 'other')],
  ['an authority that names another issuer key', 'CHAIN_NAME', (p) => (p.ca.authority = 'other')],
  ['a leaf signed by another key', 'CHAIN_SIGNATURE', (p) => (p.pck.signer = 'other')],
  ['an authority signed by another key', 'CHAIN_SIGNATURE', (p) => (p.ca.signer = 'other')],
  [
    'a forged copy of the root',
    'CHAIN_SIGNATURE',
    (p) => {
      p.editCertificates = (certificates) => {
        const last = certificates.root.length - 1
        certificates.root = certificates.root.with(last, (certificates.root[last] ?? 0) ^ 1)
      }
    },
  ],
  [
    'an authority without the CA flag',
    'CHAIN_CA_FLAG',
    (p) => {
      p.ca.ca = false
      p.ca.pathLength = undefined
    },
  ],
  ['a root that allows no authority below it', 'CHAIN_CA_FLAG', (p) => (p.root.pathLength = 0)],
  ['a root that may not sign CRLs', 'CHAIN_CA_FLAG', (p) => (p.root.keyUsage = 0x04)],
  [
    'a re-issued root that allows no authority below it',
    'CHAIN_CA_FLAG',
    (p) => {
      const { anchors } = forge()
      p.root.pathLength = 0
      p.finish = (f) => {
        f.anchors = anchors
      }
    },
  ],
  ['an authority without path length', 'CHAIN_CA_FLAG', (p) => (p.ca.pathLength = undefined)],
  ['an authority that may not sign certificates', 'CHAIN_CA_FLAG', (p) => (p.ca.keyUsage = 0x82)],
  ['an authority that may not sign CRLs', 'CHAIN_CA_FLAG', (p) => (p.ca.keyUsage = 0x04)],
  ['a leaf with the CA flag', 'CHAIN_CA_FLAG', (p) => (p.pck.ca = true)],
  ['a leaf that may sign certificates', 'CHAIN_CA_FLAG', (p) => (p.pck.keyUsage = 0x84)],
  ['a leaf that may sign CRLs', 'CHAIN_CA_FLAG', (p) => (p.pck.keyUsage = 0xc2)],
  ['a leaf that may not sign', 'CHAIN_CA_FLAG', (p) => (p.pck.keyUsage = 0x40)],
  ['a leaf of the future', 'CERT_NOT_YET_VALID', (p) => (p.pck.notBefore = AT + 1000)],
  ['an authority of the future', 'CERT_NOT_YET_VALID', (p) => (p.ca.notBefore = AT + 1000)],
  ['a root of the future', 'CERT_NOT_YET_VALID', (p) => (p.root.notBefore = AT + 1000)],
  ['an expired leaf', 'CERT_EXPIRED', (p) => (p.pck.notAfter = AT - 1000)],
  ['an expired authority', 'CERT_EXPIRED', (p) => (p.ca.notAfter = AT - 1000)],
  ['an expired root', 'CERT_EXPIRED', (p) => (p.root.notAfter = AT - 1000)],
  [
    'seven members from the Processor CA',
    'PCK_EXTENSION',
    (p) => {
      p.ca.subject = 'Intel SGX PCK Processor CA'
      p.pck.issuer = p.ca.subject
      p.pckCrl.issuer = p.ca.subject
    },
  ],
  ['five members from the Platform CA', 'PCK_EXTENSION', (p) => (p.sgx.platform = false)],
  ['six members', 'PCK_EXTENSION', (p) => (p.sgx.edit = (pairs) => pairs.slice(0, 6))],
  [
    'a member twice',
    'PCK_EXTENSION',
    (p) => (p.sgx.edit = (pairs) => pairs.with(1, pairs[0] ?? new Uint8Array())),
  ],
  ['fifteen TCB components', 'PCK_EXTENSION', (p) => p.sgx.components.pop()],
  ['a TCB component of 256', 'PCK_EXTENSION', (p) => (p.sgx.components[0] = 256)],
  ['an FMSPC of five bytes', 'PCK_EXTENSION', (p) => (p.sgx.fmspc = new Uint8Array(5))],
  ['no root CRL', 'CRL_FORMAT', finish((f) => (f.collateral.rootCaCrl = new Uint8Array()))],
  ['no PCK CRL', 'CRL_FORMAT', finish((f) => (f.collateral.pckCrl = new Uint8Array()))],
  [
    'a root CRL with trailing bytes',
    'CRL_FORMAT',
    finish((f) => (f.collateral.rootCaCrl = concat(f.collateral.rootCaCrl, new Uint8Array(1)))),
  ],
  ['a PCK CRL without number', 'CRL_FORMAT', (p) => p.pckCrl.without.push('2.5.29.20')],
  ['a PCK CRL without key id', 'CRL_FORMAT', (p) => p.pckCrl.without.push('2.5.29.35')],
  [
    'a delta CRL',
    'CRL_FORMAT',
    (p) => p.pckCrl.extensions.push(extension('2.5.29.27', new Uint8Array([2, 1, 1]), true)),
  ],
  [
    'the root CRL in place of the PCK CRL',
    'CRL_ISSUER',
    finish((f) => (f.collateral.pckCrl = f.collateral.rootCaCrl)),
  ],
  [
    'the PCK CRL in place of the root CRL',
    'CRL_ISSUER',
    finish((f) => (f.collateral.rootCaCrl = f.collateral.pckCrl)),
  ],
  [
    'a PCK CRL of the other PCK authority',
    'CRL_ISSUER',
    (p) => (p.pckCrl.issuer = 'Intel SGX PCK Processor CA'),
  ],
  ['a PCK CRL that names another key', 'CRL_ISSUER', (p) => (p.pckCrl.authority = 'other')],
  ['a forged root CRL', 'CRL_SIGNATURE', (p) => (p.rootCrl.signer = 'other')],
  ['a forged PCK CRL', 'CRL_SIGNATURE', (p) => (p.pckCrl.signer = 'other')],
  ['a root CRL of the future', 'CRL_NOT_YET_VALID', (p) => (p.rootCrl.thisUpdate = AT + 1000)],
  ['a PCK CRL of the future', 'CRL_NOT_YET_VALID', (p) => (p.pckCrl.thisUpdate = AT + 1000)],
  ['an expired root CRL', 'CRL_EXPIRED', (p) => (p.rootCrl.nextUpdate = AT - 1000)],
  ['an expired PCK CRL', 'CRL_EXPIRED', (p) => (p.pckCrl.nextUpdate = AT - 1000)],
  ['a PCK CRL without nextUpdate', 'CRL_EXPIRED', (p) => (p.pckCrl.nextUpdate = undefined)],
  [
    'a revoked authority',
    'INTERMEDIATE_REVOKED',
    (p) => p.rootCrl.revoked.push(serial(9), p.ca.serial),
  ],
  ['a revoked leaf', 'PCK_REVOKED', (p) => p.pckCrl.revoked.push(p.pck.serial)],
  [
    'a revoked leaf whose serial has the top bit set',
    'PCK_REVOKED',
    (p) => {
      p.pck.serial = new Uint8Array(20).fill(0xf0)
      p.pckCrl.revoked.push(p.pck.serial)
    },
  ],
  [
    'a TCB signer of another name',
    'TCB_SIGNER_SUBJECT',
    (p) => (p.tcb.subject = 'Intel SGX PCK Certificate'),
  ],
  [
    'the PCK authority as TCB signer',
    'TCB_SIGNER_SUBJECT',
    (p) => {
      p.signerChain = ['ca', 'root']
      p.tcbInfoSigner = 'ca'
      p.qeIdentitySigner = 'ca'
    },
  ],
  [
    'a TCB signer chain of three',
    'TCB_SIGNER_FORMAT',
    (p) => (p.signerChain = ['pck', 'ca', 'root']),
  ],
  [
    'no TCB signer chain',
    'TCB_SIGNER_FORMAT',
    finish((f) => (f.collateral.tcbInfoIssuerChain = new Uint8Array())),
  ],
  [
    'no QE identity signer chain',
    'TCB_SIGNER_FORMAT',
    finish((f) => (f.collateral.qeIdentityIssuerChain = new Uint8Array())),
  ],
  [
    'a TCB signer under another root',
    'ROOT_UNTRUSTED',
    finish(
      (f) =>
        (f.collateral.tcbInfoIssuerChain = forge(underOtherRoot).collateral.tcbInfoIssuerChain),
    ),
  ],
  ['a TCB signer signed by another key', 'CHAIN_SIGNATURE', (p) => (p.tcb.signer = 'other')],
  ['a TCB signer with the CA flag', 'CHAIN_CA_FLAG', (p) => (p.tcb.ca = true)],
  ['an expired TCB signer', 'CERT_EXPIRED', (p) => (p.tcb.notAfter = AT - 1000)],
  ['a TCB signer of the future', 'CERT_NOT_YET_VALID', (p) => (p.tcb.notBefore = AT + 1000)],
  ['a revoked TCB signer', 'TCB_SIGNER_REVOKED', (p) => p.rootCrl.revoked.push(p.tcb.serial)],
  ['TCB info signed by another key', 'TCB_INFO_SIGNATURE', (p) => (p.tcbInfoSigner = 'other')],
  [
    'TCB info with white space added',
    'TCB_INFO_SIGNATURE',
    finish(
      (f) =>
        (f.collateral.tcbInfo = replaceText(f.collateral.tcbInfo, '"version":3', '"version": 3')),
    ),
  ],
  [
    'edited TCB info',
    'TCB_INFO_SIGNATURE',
    finish(
      (f) => (f.collateral.tcbInfo = replaceText(f.collateral.tcbInfo, 'OutOfDate', 'UpToDate')),
    ),
  ],
  ['no TCB info', 'TCB_INFO_FORMAT', finish((f) => (f.collateral.tcbInfo = new Uint8Array()))],
  [
    'the QE identity in place of TCB info',
    'TCB_INFO_FORMAT',
    finish((f) => (f.collateral.tcbInfo = f.collateral.qeIdentity)),
  ],
  [
    'a member of TCB info twice',
    'TCB_INFO_FORMAT',
    (p) =>
      (p.tcbInfo = JSON.stringify(p.tcbInfo).replace('"tcbType":0', '"tcbType":0,"tcbType":0')),
  ],
  [
    'TCB info beside a second one',
    'TCB_INFO_FORMAT',
    finish(
      (f) =>
        (f.collateral.tcbInfo = concat(utf8('{"tcbInfo":{},'), f.collateral.tcbInfo.subarray(1))),
    ),
  ],
  [
    'a third member beside TCB info',
    'TCB_INFO_FORMAT',
    finish(
      (f) => (f.collateral.tcbInfo = concat(utf8('{"x":1,'), f.collateral.tcbInfo.subarray(1))),
    ),
  ],
  [
    'an escaped name of TCB info',
    'TCB_INFO_FORMAT',
    finish(
      (f) =>
        (f.collateral.tcbInfo = replaceText(f.collateral.tcbInfo, '"tcbInfo"', '"tcbInf\\u006f"')),
    ),
  ],
  ['TCB info version 4', 'TCB_INFO_FORMAT', (p) => (p.tcbInfo.version = 4)],
  ['a tcbType other than 0', 'TCB_INFO_FORMAT', (p) => (p.tcbInfo.tcbType = 1)],
  ['TDX members in TCB info', 'TCB_INFO_FORMAT', (p) => (p.tcbInfo.tdxModule = {})],
  [
    'fifteen components in a level',
    'TCB_INFO_FORMAT',
    (p) => p.tcbInfo.tcbLevels[1].tcb.sgxtcbcomponents.pop(),
  ],
  ['no levels', 'TCB_INFO_FORMAT', (p) => (p.tcbInfo.tcbLevels = [])],
  [
    'a level twice',
    'TCB_INFO_FORMAT',
    (p) => p.tcbInfo.tcbLevels.push({ ...p.tcbInfo.tcbLevels[0], tcbStatus: 'OutOfDate' }),
  ],
  [
    'a date that is not one',
    'TCB_INFO_FORMAT',
    (p) => (p.tcbInfo.issueDate = '2026-02-30T00:00:00Z'),
  ],
  ['a date without zone', 'TCB_INFO_FORMAT', (p) => (p.tcbInfo.nextUpdate = '2026-01-31T00:00:00')],
  [
    'TCB info of the future',
    'TCB_INFO_NOT_YET_VALID',
    (p) => (p.tcbInfo.issueDate = '2026-01-15T00:00:01Z'),
  ],
  ['expired TCB info', 'TCB_INFO_EXPIRED', (p) => (p.tcbInfo.nextUpdate = '2026-01-14T23:59:59Z')],
  [
    'TCB info of TDX',
    'TCB_INFO_MISMATCH',
    (p) => {
      p.tcbInfo.id = 'TDX'
      const none = '00'.repeat(8)
      const module = { mrsigner: '00'.repeat(48), attributes: none, attributesMask: none }
      p.tcbInfo.tdxModule = module
      for (const { tcb } of p.tcbInfo.tcbLevels) tcb.tdxtcbcomponents = tcb.sgxtcbcomponents
    },
  ],
  ['another FMSPC', 'TCB_INFO_MISMATCH', (p) => (p.tcbInfo.fmspc = '53494D000001')],
  ['another PCE id', 'TCB_INFO_MISMATCH', (p) => (p.tcbInfo.pceId = '0001')],
  [
    'QE identity signed by another key',
    'QE_IDENTITY_SIGNATURE',
    (p) => (p.qeIdentitySigner = 'other'),
  ],
  [
    'no QE identity',
    'QE_IDENTITY_FORMAT',
    finish((f) => (f.collateral.qeIdentity = new Uint8Array())),
  ],
  ['QE identity version 3', 'QE_IDENTITY_FORMAT', (p) => (p.qeIdentity.version = 3)],
  ['a short mask', 'QE_IDENTITY_FORMAT', (p) => (p.qeIdentity.attributesMask = 'FF')],
  [
    'a QE level twice',
    'QE_IDENTITY_FORMAT',
    (p) => p.qeIdentity.tcbLevels.push(p.qeIdentity.tcbLevels[0]),
  ],
  [
    'QE identity of the future',
    'QE_IDENTITY_NOT_YET_VALID',
    (p) => (p.qeIdentity.issueDate = '2026-01-15T00:00:01Z'),
  ],
  [
    'expired QE identity',
    'QE_IDENTITY_EXPIRED',
    (p) => (p.qeIdentity.nextUpdate = '2026-01-14T23:59:59Z'),
  ],
  ['the identity of the verification enclave', 'QE_IDENTITY_ID', (p) => (p.qeIdentity.id = 'QVE')],
  ['a QE report signed by another key', 'QE_REPORT_SIGNATURE', (p) => (p.qeReportSigner = 'other')],
  [
    'another attestation key',
    'QE_REPORT_BINDING',
    (p) => {
      p.attestationKey = pointOf('other')
      p.quoteSigner = 'other'
    },
  ],
  ['other QE auth data', 'QE_REPORT_BINDING', (p) => (p.authData = new Uint8Array(32))],
  [
    'a QE report data with a second half',
    'QE_REPORT_BINDING',
    (p) => {
      const reportData = p.qeReport.reportData.with(63, 1)
      p.qeReport = { ...p.qeReport, reportData }
    },
  ],
  [
    'another MISCSELECT of the QE',
    'QE_MISCSELECT',
    (p) => (p.qeReport = { ...p.qeReport, miscSelect: 1 }),
  ],
  [
    'other attributes of the QE',
    'QE_ATTRIBUTES',
    (p) => (p.qeReport = { ...p.qeReport, flags: 0x35n }),
  ],
  ['a debug QE', 'QE_ATTRIBUTES', (p) => (p.qeReport = { ...p.qeReport, flags: 0x17n })],
  [
    'a debug QE that the identity would allow',
    'QE_ATTRIBUTES',
    (p) => {
      p.qeReport = { ...p.qeReport, flags: 0x17n }
      p.qeIdentity.attributesMask = 'F9FFFFFFFFFFFFFF0000000000000000'
    },
  ],
  [
    'another author of the QE',
    'QE_MRSIGNER',
    (p) => (p.qeReport = { ...p.qeReport, mrSigner: new Uint8Array(32) }),
  ],
  [
    'another product in place of the QE',
    'QE_ISVPRODID',
    (p) => (p.qeReport = { ...p.qeReport, isvProdId: 2 }),
  ],
  [
    'a QE below every level',
    'QE_ISVSVN_UNSUPPORTED',
    (p) => (p.qeReport = { ...p.qeReport, isvSvn: 5 }),
  ],
  ['a quote signed by another key', 'QUOTE_SIGNATURE', (p) => (p.quoteSigner = 'other')],
  [
    'an attestation key off the curve',
    'QUOTE_SIGNATURE',
    (p) => {
      p.attestationKey = new Uint8Array(64).fill(1)
      p.qeReport = { ...p.qeReport, reportData: bindingOf(p.attestationKey, p.authData) }
    },
  ],
  ['a platform below every level', 'TCB_NOT_SUPPORTED', (p) => (p.sgx.components[0] = 1)],
  ['one component below every level', 'TCB_NOT_SUPPORTED', (p) => (p.sgx.components[7] = 2)],
  ['a PCESVN below every level', 'TCB_NOT_SUPPORTED', (p) => (p.sgx.pceSvn = 10)],
  [
    'an unknown platform status',
    'TCB_STATUS_UNKNOWN',
    (p) => (p.tcbInfo.tcbLevels[0].tcbStatus = 'Splendid'),
  ],
  [
    'an unknown QE status',
    'TCB_STATUS_UNKNOWN',
    (p) => (p.qeIdentity.tcbLevels[0].tcbStatus = 'SWHardeningNeeded'),
  ],
  [
    'a revoked platform level',
    'TCB_REVOKED',
    (p) => (p.tcbInfo.tcbLevels[0].tcbStatus = 'Revoked'),
  ],
  ['a revoked QE level', 'TCB_REVOKED', (p) => (p.qeIdentity.tcbLevels[0].tcbStatus = 'Revoked')],
]

for (const [what, code, edit] of CASES) {
  test(`verifyQuote() refuses ${what}: ${code}`, () => {
    const result = verify(edit)
    assert.equal(result.code, code, `${result.message}`)
    assert.equal(result.verified, false)
    assert.equal(result.accepted, false)
    assert.equal(result.evidence, undefined)
    const failed = result.checks.at(-1)
    assert.equal(failed?.ok, false)
    for (const fact of [failed.field, failed.expected, failed.actual]) {
      assert.match(fact ?? '', /\S/, 'a failure says field, expected and actual')
      assert.doesNotMatch(fact ?? '', /undefined|\[object/)
    }
    assert.equal(
      result.checks.slice(0, -1).every((check) => check.ok),
      true,
    )
    assert.throws(() => sgxClaims(result), TypeError)
    // A failure must not be remembered as a success, nor spoil what is good.
    assert.equal(verify(edit).code, code)
    assert.equal(verify().accepted, true)
  })
}

function replaceText(bytes: Uint8Array, from: string, to: string): Uint8Array {
  const text = fromUtf8(bytes, 'text')
  assert.ok(text.includes(from))
  return utf8(text.replace(from, to))
}

test('verifyQuote() does not take a remembered document for good under another signer', () => {
  const input = forge()
  assert.equal(verifyQuote(input).accepted, true)
  const other = forge((p) => (p.tcb.key = 'other')).collateral
  for (const [member, code] of [
    ['tcbInfoIssuerChain', 'TCB_INFO_SIGNATURE'],
    ['qeIdentityIssuerChain', 'QE_IDENTITY_SIGNATURE'],
  ] as const) {
    const collateral = { ...input.collateral, [member]: other[member] }
    assert.equal(verifyQuote({ ...input, collateral }).code, code)
  }
})

const DAY = 86_400_000

/** Each part of the collateral, ended `days` before the verification. */
const ENDED: readonly (readonly [code: string, end: (p: ForgeParts, days: number) => void])[] = [
  ['TCB_INFO_EXPIRED', (p, days) => (p.tcbInfo.nextUpdate = ago(days))],
  ['QE_IDENTITY_EXPIRED', (p, days) => (p.qeIdentity.nextUpdate = ago(days))],
  ['CRL_EXPIRED', (p, days) => (p.pckCrl.nextUpdate = AT - days * DAY)],
  ['CRL_EXPIRED', (p, days) => (p.rootCrl.nextUpdate = AT - days * DAY)],
]

function ago(days: number): string {
  return new Date(AT - days * DAY).toISOString().replace('.000Z', 'Z')
}

test('expired collateral counts within a grace, and the verdict says so', () => {
  for (const [code, end] of ENDED) {
    const late = (days: number) => forge((p) => end(p, days))
    assert.equal(verifyQuote(late(3)).code, code, 'no grace by default')
    const taken = verifyQuote({ ...late(3), collateralGrace: 3 * DAY })
    assert.equal(taken.accepted, true, code)
    assert.equal(taken.evidence?.expiredAt, AT - 3 * DAY)
    assert.ok(taken.checks.some(({ name, actual }) => name === 'collateral-grace' && actual))
    assert.equal(sgxClaims(taken).collateral_expiration_status, '1')
    assert.equal(verifyQuote({ ...late(3), collateralGrace: 3 * DAY - 1000 }).code, code)
  }
  const current = verifyQuote({ ...forge(), collateralGrace: 7 * DAY })
  assert.equal(current.evidence?.expiredAt, undefined)
  assert.equal(sgxClaims(current).collateral_expiration_status, '0')
  assert.ok(current.checks.every(({ name }) => name !== 'collateral-grace'))
})

test('no grace for certificates, for a list without an end, or beyond seven days', () => {
  const grace = { collateralGrace: 7 * DAY }
  const old = forge((p) => {
    p.pck.notAfter = AT - DAY
  })
  assert.equal(verifyQuote({ ...old, ...grace }).code, 'CERT_EXPIRED')
  for (const collateralGrace of [-1, 7 * DAY + 1, Number.NaN, Number.POSITIVE_INFINITY]) {
    assert.throws(() => verifyQuote({ ...forge(), collateralGrace }), RangeError)
  }
})
