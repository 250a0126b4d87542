import { hash } from 'node:crypto'
import { concat, equalBytes, FormatError, toHex } from '#lib/bytes'
import { type Certificate, importP256, verifyRawSignature } from '#lib/x509'
import { AttestError, badSignature } from '../attest-error.ts'
import { CERTIFICATION_TYPES } from './certification-data.ts'
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
import { matchQe, type QeIdentity, type QeLevel } from './qe-identity.ts'
import { CERTIFICATION_PCK_CHAIN, INTEL_QE_VENDOR_ID, type ParsedFrame } from './quote.ts'
import { requireCrlDates, requireNotRevoked, verifyCrl } from './revocation.ts'
import {
  requireDocumentDates,
  requireQuotingEnclave,
  requireSamePlatform,
  verifyQeIdentity,
  verifyTcbInfo,
} from './signed-collateral.ts'
import type { TcbInfo } from './tcb-info.ts'
import type { TcbState } from './tcb-status.ts'
import type { TrustAnchor } from './trust-anchor.ts'

/** When collateral and certificates were issued and end, milliseconds since 1970. */
export interface EvidenceWindow {
  readonly earliestIssue: number
  readonly latestIssue: number
  /** Evidence must be judged again after this. */
  readonly earliestExpiration: number
}

/** What a genuine quote proves, whatever its body says. */
export interface GenuineQuote {
  readonly anchor: TrustAnchor
  readonly ca: 'platform' | 'processor'
  readonly pck: PckExtension
  /** SubjectPublicKeyInfo of the PCK certificate, DER: the same key is the same platform. */
  readonly pckKey: Uint8Array
  /** The lower one of TCB info and QE identity. */
  readonly tcbEvaluationDataNumber: number
  /** The evaluation number of the TCB info, and that of the QE identity. */
  readonly tcbInfoNumber: number
  readonly qeIdentityNumber: number
  readonly window: EvidenceWindow
  /** Present where collateral has expired and a grace let it pass: its earliest end. */
  readonly expiredAt?: number
  /** CRL numbers, lower-case hex. */
  readonly pckCrlNumber: string
  readonly rootCrlNumber: string
}

/** A genuine quote with the levels that remain to be matched. */
export interface UnmatchedQuote {
  readonly genuine: GenuineQuote
  readonly tcbInfo: TcbInfo
  readonly qeLevel: QeLevel
}

/** What is known while a verification goes on: all of it unproven until it ends well. */
export interface GenuineFindings {
  pck?: PckExtension
  tcbEvaluationDataNumber?: number
}

/** Input of `verifyGenuine`. */
export interface EvidenceInput {
  readonly quote: Uint8Array
  readonly collateral: Collateral
  readonly anchors: readonly TrustAnchor[]
  /** Milliseconds since 1970. */
  readonly now: number
  /** Milliseconds after its end in which collateral still counts, see `collateralGrace`. */
  readonly grace: number
}

/** Which documents speak of a technology. */
export interface Technology {
  readonly tcbInfoId: 'SGX' | 'TDX'
  readonly qeIdentityId: 'QE' | 'TD_QE'
}

interface Dated {
  readonly issued: number
  readonly expires: number
}

const qeReports = /* @__PURE__ */ new Memo<true>(64)
/** Extensions of certificates that a remembered chain holds; they go with it. */
const extensions = /* @__PURE__ */ new WeakMap<Certificate, PckExtension>()

/**
 * The checks of docs/formats/quote.md, of a quote that was parsed: all that does not depend on
 * its body. Throws AttestError at the first check that fails; `findings` then holds what was
 * read so far.
 */
export function verifyGenuine(
  quote: ParsedFrame,
  technology: Technology,
  input: EvidenceInput,
  log: CheckLog,
  findings: GenuineFindings,
): UnmatchedQuote {
  const { collateral, now, grace } = input
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
  const { rootCrl, pckCrl } = verifyCrls(chain, input, log)
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
      requireDocumentDates(info, now, 'TCB_INFO', grace)
      requireSamePlatform(info, pck, technology.tcbInfoId)
      return info
    },
    showDocument,
  )
  const identity = log.run(
    'qe-identity',
    () => {
      const qe = verifyQeIdentity(collateral.qeIdentity, signer(collateral.qeIdentityIssuerChain))
      requireDocumentDates(qe, now, 'QE_IDENTITY', grace)
      requireQuotingEnclave(qe, technology.qeIdentityId)
      return qe
    },
    showDocument,
  )
  findings.tcbEvaluationDataNumber = lowerNumber(tcbInfo, identity)
  log.run('qe-report-signature', () => requireQeSignature(quote, chain))
  log.run('qe-report-binding', () => requireBinding(quote))
  const qeLevel = log.run(
    'qe-identity-match',
    () => matchQe(quote, identity),
    ({ isvSvn, tcbStatus }) => `version ${isvSvn}, ${tcbStatus}`,
  )
  log.run('quote-signature', () => requireQuoteSignature(quote))
  const collateralDates = [
    ...[rootCrl, pckCrl].map((crl) => dated(crl.thisUpdate, crl.nextUpdate ?? crl.thisUpdate)),
    ...[tcbInfo, identity].map((item) => dated(item.issueDate, item.nextUpdate)),
  ]
  const end = Math.min(...collateralDates.map((item) => item.expires))
  // Among the checks, so that whoever keeps a verdict also keeps that it was given on old collateral.
  if (now > end) log.passed('collateral-grace', `expired ${new Date(end).toISOString()}`)
  const genuine = {
    anchor: chain.anchor,
    ca: chain.ca,
    pck,
    pckKey: chain.leaf.spki,
    tcbEvaluationDataNumber: lowerNumber(tcbInfo, identity),
    tcbInfoNumber: tcbInfo.tcbEvaluationDataNumber,
    qeIdentityNumber: identity.tcbEvaluationDataNumber,
    window: windowOf([...[chain, ...signers].flatMap(chainDates), ...collateralDates]),
    ...(now > end && { expiredAt: end }),
    pckCrlNumber: pckCrl.number,
    rootCrlNumber: rootCrl.number,
  }
  return { genuine, tcbInfo, qeLevel }
}

/** Refuses a revoked result of the matching. */
export function requireNotRevokedTcb(
  state: Pick<TcbState, 'platformStatus' | 'qeStatus'> & { readonly status: string },
): void {
  if (state.status === 'Revoked') throw revoked(state)
}

function requireVendor({ qeVendorId }: ParsedFrame): void {
  const actual = toHex(qeVendorId)
  if (actual === INTEL_QE_VENDOR_ID) return
  throw new AttestError('QUOTE_QE_VENDOR', 'checking the quote: unknown vendor of its QE', {
    field: 'QE vendor id',
    expected: INTEL_QE_VENDOR_ID,
    actual,
  })
}

/**
 * Type 5 carries its chain. Types 1 to 4 leave it to the collateral: what they say of the platform
 * is not compared, for the signature of the PCK key over the QE report ties the two together.
 */
export function pckChainText(quote: ParsedFrame, collateral: Collateral): Uint8Array {
  const { certificationType: type } = quote
  if (type === CERTIFICATION_PCK_CHAIN) return quote.certificationData
  const refused = (found: string): AttestError =>
    new AttestError('QUOTE_CERT_DATA_TYPE', `checking the quote: ${found}`, {
      field: 'certification data type',
      expected: '5, or 1 to 4 with a PCK chain beside the quote',
      actual: String(type),
    })
  if (!CERTIFICATION_TYPES.includes(type)) throw refused('its certification data is unknown')
  if (collateral.pckCertChain !== undefined) return collateral.pckCertChain
  throw refused('it carries no PCK chain')
}

function readPck({ leaf, ca }: PckChain): PckExtension {
  const pck = extensions.get(leaf) ?? parsePckExtension(leaf)
  extensions.set(leaf, pck)
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
  { collateral, now, grace }: EvidenceInput,
  log: CheckLog,
): Record<'rootCrl' | 'pckCrl', ReturnType<typeof verifyCrl>> {
  const { anchor, issuer, issuerKey, leaf } = chain
  const rootCrl = log.run('root-crl', () => {
    const crl = verifyCrl(collateral.rootCaCrl, anchor.certificate, anchor.key, 'root CRL')
    requireCrlDates(crl, now, 'root CRL', grace)
    requireNotRevoked(crl, issuer, 'INTERMEDIATE_REVOKED')
    return crl
  })
  const pckCrl = log.run('pck-crl', () => {
    const crl = verifyCrl(collateral.pckCrl, issuer, issuerKey, 'PCK CRL')
    requireCrlDates(crl, now, 'PCK CRL', grace)
    requireNotRevoked(crl, leaf, 'PCK_REVOKED')
    return crl
  })
  return { rootCrl, pckCrl }
}

/** One platform sends the same QE report with every quote, so a good one is remembered. */
function requireQeSignature(quote: ParsedFrame, { leaf, leafKey }: PckChain): void {
  const { qeReportBytes, qeReportSignature } = quote
  qeReports.get([leaf.spki, qeReportBytes, qeReportSignature], () => {
    if (verifyRawSignature(leafKey, qeReportBytes, qeReportSignature)) return true
    throw badSignature('QE_REPORT_SIGNATURE', 'verifying the QE report: signature not good', {
      field: 'QE report signature',
      signer: 'the PCK key',
    })
  })
}

/** Without this, a genuine QE report would vouch for any attestation key. */
function requireBinding({ attestationKey, qeAuthData, qeReport }: ParsedFrame): void {
  const named = hash('sha256', concat(attestationKey, qeAuthData), 'buffer')
  const expected = concat(named, new Uint8Array(32))
  if (equalBytes(qeReport.reportData, expected)) return
  throw new AttestError('QE_REPORT_BINDING', 'checking the QE report: it names another key', {
    field: 'QE report data',
    expected: toHex(expected),
    actual: toHex(qeReport.reportData),
  })
}

function requireQuoteSignature({ attestationKey, signed, signature }: ParsedFrame): void {
  const refused = (found: string, cause?: unknown): AttestError =>
    badSignature('QUOTE_SIGNATURE', `verifying the quote: ${found}`, {
      field: 'quote signature',
      signer: 'the attestation key',
      cause,
    })
  try {
    // `importP256` remembers the keys it saw last.
    if (verifyRawSignature(importP256(attestationKey), signed, signature)) return
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw refused('the attestation key is not a point on P-256', cause)
  }
  throw refused('its signature is not good')
}

function revoked({
  platformStatus,
  qeStatus,
}: Pick<TcbState, 'platformStatus' | 'qeStatus'>): AttestError {
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
