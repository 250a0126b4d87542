import { createHash } from 'node:crypto'
import { concat, equalBytes, FormatError, toHex } from '#lib/bytes'
import { importP256, verifyRawSignature } from '#lib/x509'
import { AttestError } from '../attest-error.ts'
import {
  type PckChain,
  requireChainDates,
  type VerifiedChain,
  verifyPckChain,
  verifySignerChain,
} from './chain.ts'
import type { CheckLog } from './check-log.ts'
import type { Collateral } from './collateral.ts'
import { Memo } from './memo.ts'
import { type PckExtension, parsePckExtension } from './pck-extension.ts'
import { matchQe, type QeIdentity } from './qe-identity.ts'
import {
  CERTIFICATION_PCK_CHAIN,
  INTEL_QE_VENDOR_ID,
  type ParsedQuote,
  parseQuote,
} from './quote.ts'
import { requireCrlDates, requireNotRevoked, verifyCrl } from './revocation.ts'
import {
  requireDocumentDates,
  requireQuotingEnclave,
  requireSamePlatform,
  verifyQeIdentity,
  verifyTcbInfo,
} from './signed-collateral.ts'
import type { TcbInfo } from './tcb-info.ts'
import { matchPlatform, mergeLevels, type TcbState } from './tcb-status.ts'
import type { TrustAnchor } from './trust-anchor.ts'

/** When collateral and certificates were issued and end, milliseconds since 1970. */
export interface EvidenceWindow {
  readonly earliestIssue: number
  readonly latestIssue: number
  /** Evidence must be judged again after this. */
  readonly earliestExpiration: number
}

/** A genuine quote and all that its verification established. Says nothing of policy. */
export interface VerifiedEvidence {
  readonly quote: ParsedQuote
  readonly anchor: TrustAnchor
  readonly ca: 'platform' | 'processor'
  readonly pck: PckExtension
  readonly tcb: TcbState
  /** The lower one of TCB info and QE identity. */
  readonly tcbEvaluationDataNumber: number
  readonly window: EvidenceWindow
  /** CRL numbers, lower-case hex. */
  readonly pckCrlNumber: string
  readonly rootCrlNumber: string
}

/** What is known while a verification goes on: all of it unproven until it ends well. */
export interface Findings {
  quote?: ParsedQuote
  pck?: PckExtension
  tcb?: TcbState
  tcbEvaluationDataNumber?: number
}

/** Input of `verifyEvidence`. */
export interface EvidenceInput {
  readonly quote: Uint8Array
  readonly collateral: Collateral
  readonly anchors: readonly TrustAnchor[]
  /** Milliseconds since 1970. */
  readonly now: number
}

interface Dated {
  readonly issued: number
  readonly expires: number
}

const qeReports = /* @__PURE__ */ new Memo<true>(64)

/**
 * Steps 1 to 12 of the sheet, section 5. Throws AttestError at the first check that fails;
 * `findings` then holds what was read so far.
 */
export function verifyEvidence(
  input: EvidenceInput,
  log: CheckLog,
  findings: Findings,
): VerifiedEvidence {
  const { collateral, now } = input
  const quote = log.run(
    'quote-format',
    () => parseQuote(input.quote),
    ({ version }) => `version ${version}`,
  )
  findings.quote = quote
  log.run('qe-vendor', () => requireVendor(quote))
  const chain = log.run(
    'pck-chain',
    () => {
      const verified = verifyPckChain(pckChainText(quote, collateral), input.anchors)
      requireChainDates(verified, now)
      return verified
    },
    ({ anchor, ca }) => `${ca} CA, ${anchor.platform} root`,
  )
  const pck = log.run('pck-extension', () => readPck(chain), showPlatform)
  findings.pck = pck
  const { rootCrl, pckCrl } = verifyCrls(chain, collateral, now, log)
  const signers: VerifiedChain[] = []
  const signer = (pem: Uint8Array): VerifiedChain => {
    const verified = verifySignerChain(pem, chain.anchor)
    requireChainDates(verified, now)
    requireNotRevoked(rootCrl, verified.leaf, 'TCB_SIGNER_REVOKED')
    signers.push(verified)
    return verified
  }
  const tcbInfo = log.run(
    'tcb-info',
    () => {
      const info = verifyTcbInfo(collateral.tcbInfo, signer(collateral.tcbInfoIssuerChain))
      requireDocumentDates(info, now, 'TCB_INFO')
      requireSamePlatform(info, pck)
      return info
    },
    showDocument,
  )
  const identity = log.run(
    'qe-identity',
    () => {
      const qe = verifyQeIdentity(collateral.qeIdentity, signer(collateral.qeIdentityIssuerChain))
      requireDocumentDates(qe, now, 'QE_IDENTITY')
      requireQuotingEnclave(qe)
      return qe
    },
    showDocument,
  )
  findings.tcbEvaluationDataNumber = lowerNumber(tcbInfo, identity)
  log.run('qe-report-signature', () => requireQeSignature(quote, chain))
  log.run('qe-report-binding', () => requireBinding(quote))
  const qeLevel = log.run(
    'qe-identity-match',
    () => matchQe(quote.qeReport, identity),
    ({ isvSvn, tcbStatus }) => `version ${isvSvn}, ${tcbStatus}`,
  )
  log.run('quote-signature', () => requireQuoteSignature(quote))
  const tcb = log.run(
    'tcb-level',
    () => {
      const state = mergeLevels(matchPlatform(pck, tcbInfo), qeLevel)
      findings.tcb = state
      if (state.status === 'Revoked') throw revoked(state)
      return state
    },
    ({ status }) => status,
  )
  return {
    quote,
    anchor: chain.anchor,
    ca: chain.ca,
    pck,
    tcb,
    tcbEvaluationDataNumber: lowerNumber(tcbInfo, identity),
    window: windowOf([
      ...[chain, ...signers].flatMap(chainDates),
      ...[rootCrl, pckCrl].map((crl) => dated(crl.thisUpdate, crl.nextUpdate ?? crl.thisUpdate)),
      ...[tcbInfo, identity].map((item) => dated(item.issueDate, item.nextUpdate)),
    ]),
    pckCrlNumber: pckCrl.number,
    rootCrlNumber: rootCrl.number,
  }
}

function requireVendor({ qeVendorId }: ParsedQuote): void {
  const actual = toHex(qeVendorId)
  if (actual === INTEL_QE_VENDOR_ID) return
  throw new AttestError('QUOTE_QE_VENDOR', 'checking the quote: unknown vendor of its QE', {
    field: 'QE vendor id',
    expected: INTEL_QE_VENDOR_ID,
    actual,
  })
}

function pckChainText(quote: ParsedQuote, collateral: Collateral): Uint8Array {
  if (quote.certificationType === CERTIFICATION_PCK_CHAIN) return quote.certificationData
  if (collateral.pckCertChain !== undefined) return collateral.pckCertChain
  throw new AttestError('QUOTE_CERT_DATA_TYPE', 'checking the quote: it carries no PCK chain', {
    field: 'certification data type',
    expected: '5, or a PCK chain with the collateral',
    actual: String(quote.certificationType),
  })
}

function readPck({ leaf, ca }: PckChain): PckExtension {
  const pck = parsePckExtension(leaf)
  const expected = ca === 'platform' ? 7 : 5
  if ((pck.platform !== undefined) === (ca === 'platform')) return pck
  throw new AttestError('PCK_EXTENSION', 'reading the SGX extension: wrong for its authority', {
    field: 'SGX extension members',
    expected: String(expected),
    actual: String(12 - expected),
  })
}

function verifyCrls(
  chain: PckChain,
  collateral: Collateral,
  now: number,
  log: CheckLog,
): Record<'rootCrl' | 'pckCrl', ReturnType<typeof verifyCrl>> {
  const { anchor, issuer, issuerKey, leaf } = chain
  const rootCrl = log.run('root-crl', () => {
    const crl = verifyCrl(collateral.rootCaCrl, anchor.certificate, anchor.key, 'root CRL')
    requireCrlDates(crl, now, 'root CRL')
    requireNotRevoked(crl, issuer, 'INTERMEDIATE_REVOKED')
    return crl
  })
  const pckCrl = log.run('pck-crl', () => {
    const crl = verifyCrl(collateral.pckCrl, issuer, issuerKey, 'PCK CRL')
    requireCrlDates(crl, now, 'PCK CRL')
    requireNotRevoked(crl, leaf, 'PCK_REVOKED')
    return crl
  })
  return { rootCrl, pckCrl }
}

/** One platform sends the same QE report with every quote, so a good one is remembered. */
function requireQeSignature(quote: ParsedQuote, { leaf, leafKey }: PckChain): void {
  const { qeReportBytes, qeReportSignature } = quote
  qeReports.get([leaf.spki, qeReportBytes, qeReportSignature], () => {
    if (verifyRawSignature(leafKey, qeReportBytes, qeReportSignature)) return true
    throw new AttestError('QE_REPORT_SIGNATURE', 'verifying the QE report: signature not good', {
      field: 'QE report signature',
    })
  })
}

/** Without this, a genuine QE report would vouch for any attestation key (sheet section 2.2). */
function requireBinding({ attestationKey, qeAuthData, qeReport }: ParsedQuote): void {
  const hash = createHash('sha256').update(attestationKey).update(qeAuthData).digest()
  const expected = concat(hash, new Uint8Array(32))
  if (equalBytes(qeReport.reportData, expected)) return
  throw new AttestError('QE_REPORT_BINDING', 'checking the QE report: it names another key', {
    field: 'QE report data',
    expected: toHex(expected),
    actual: toHex(qeReport.reportData),
  })
}

function requireQuoteSignature({ attestationKey, signed, signature }: ParsedQuote): void {
  const refused = (found: string, cause?: unknown): AttestError =>
    new AttestError('QUOTE_SIGNATURE', `verifying the quote: ${found}`, {
      field: 'quote signature',
      cause,
    })
  try {
    if (verifyRawSignature(importP256(attestationKey), signed, signature)) return
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw refused('the attestation key is not a point on P-256', cause)
  }
  throw refused('its signature is not good')
}

function revoked({ platformStatus, qeStatus }: TcbState): AttestError {
  return new AttestError('TCB_REVOKED', 'matching the TCB level: it is revoked', {
    field: 'TCB status',
    expected: 'a level that is not revoked',
    actual: `platform ${platformStatus}, quoting enclave ${qeStatus}`,
  })
}

function lowerNumber(tcbInfo: TcbInfo, identity: QeIdentity): number {
  return Math.min(tcbInfo.tcbEvaluationDataNumber, identity.tcbEvaluationDataNumber)
}

function chainDates({ certificates, anchor }: VerifiedChain): Dated[] {
  return [...certificates, anchor.certificate].map((item) => dated(item.notBefore, item.notAfter))
}

function dated(issued: number, expires: number): Dated {
  return { issued, expires }
}

function windowOf(items: readonly Dated[]): EvidenceWindow {
  const issued = items.map((item) => item.issued)
  return {
    earliestIssue: Math.min(...issued),
    latestIssue: Math.max(...issued),
    earliestExpiration: Math.min(...items.map((item) => item.expires)),
  }
}

function showPlatform({ fmspc, pceId }: PckExtension): string {
  return `FMSPC ${toHex(fmspc)}, PCE id ${toHex(pceId)}`
}

function showDocument({ tcbEvaluationDataNumber }: TcbInfo | QeIdentity): string {
  return `evaluation number ${tcbEvaluationDataNumber}`
}
