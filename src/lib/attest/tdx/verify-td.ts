import { equalSecret, toHex } from '#lib/bytes'
import { codeRow } from '#lib/errors'
import { AttestError } from '../attest-error.ts'
import { CheckLog, type QuoteCheck } from '../sgx/check-log.ts'
import { checkedGrace } from '../sgx/collateral-grace.ts'
import {
  type EvidenceInput,
  type GenuineFindings,
  type GenuineQuote,
  requireNotRevokedTcb,
  verifyGenuine,
} from '../sgx/genuine.ts'
import { check, checkTcb, type PolicyCheck, padded, type QuotePolicy } from '../sgx/policy.ts'
import type { AnyTcbStatus, TcbStatus } from '../sgx/tcb-status.ts'
import type { VerifyQuoteInput } from '../sgx/verify.ts'
import { type ParsedTdQuote, parseTdQuote } from './td-quote.ts'
import { TD_ATTRIBUTES, type TdReport } from './td-report.ts'
import { matchTd, type TdTcbState } from './td-tcb.ts'

/** What a relying party demands of a genuine TDX quote. Absent members demand nothing. */
export interface TdQuotePolicy extends Omit<QuotePolicy, 'enclaves' | 'configId'> {
  /** MRTD of the domains that are allowed, 48 bytes each; an empty list allows none. */
  readonly mrTds?: readonly Uint8Array[]
}

/** Input of `verifyTdQuote`; anchors, time and collateral as in `verifyQuote`. */
export interface VerifyTdQuoteInput extends Omit<VerifyQuoteInput, 'policy'> {
  readonly policy?: TdQuotePolicy
}

/** The verdict on a TDX quote, with the members of `QuoteResult` where they have a meaning. */
export interface TdQuoteResult {
  /** True if the quote is genuine: made by a platform under an anchor that is not revoked. */
  readonly verified: boolean
  /** True if it also meets the policy. Nothing may be released otherwise. */
  readonly accepted: boolean
  /** Code of the first check that failed, what it found, what to do. */
  readonly code?: AttestError['code']
  readonly message?: string
  readonly next?: string
  /** `simulated` for every root but Intel's; present where `verified`. */
  readonly platform?: 'simulated' | 'sgx'
  readonly status?: AnyTcbStatus
  readonly platformStatus?: TcbStatus
  readonly qeStatus?: TcbStatus
  readonly moduleStatus?: TcbStatus
  readonly advisoryIds: readonly string[]
  readonly tcbEvaluationDataNumber?: number
  readonly debug: boolean | null
  /** Byte strings are lower-case hex. */
  readonly mrTd: string | null
  readonly mrSeam: string | null
  readonly mrConfigId: string | null
  readonly rtmr: readonly string[]
  readonly reportData: string | null
  readonly fmspc: string | null
  readonly checks: readonly QuoteCheck[]
  /** Present where `verified`. */
  readonly evidence?: VerifiedTdEvidence
}

/** A genuine TDX quote and all that its verification established. */
export interface VerifiedTdEvidence extends GenuineQuote {
  readonly quote: ParsedTdQuote
  readonly tcb: TdTcbState
}

interface Findings extends GenuineFindings {
  quote?: ParsedTdQuote
  tcb?: TdTcbState
}

/**
 * Verifies a TDX quote as `verifyQuote` does one of SGX. They are apart so that a relying party
 * of one technology never accepts the other by accident. RangeError for a `now` that is no date
 * and for a grace out of range.
 */
export function verifyTdQuote(input: VerifyTdQuoteInput): TdQuoteResult {
  const now = input.now.getTime()
  // NaN compares false with every date: each "is it expired?" would say no.
  if (Number.isNaN(now)) throw new RangeError('now is not a date')
  const grace = checkedGrace(input.collateralGrace)
  const log = new CheckLog()
  const findings: Findings = {}
  let evidence: VerifiedTdEvidence
  try {
    evidence = verifyTdEvidence({ ...input, now, grace }, log, findings)
  } catch (error) {
    if (!(error instanceof AttestError)) throw error
    return { verified: false, accepted: false, ...describe(findings, log, error) }
  }
  let failure: AttestError | undefined
  for (const item of checkTdPolicy(evidence, now, input.policy ?? {})) {
    if (item.failure === undefined) log.passed(item.name, item.actual)
    else log.failed(item.name, item.failure)
    failure ??= item.failure
  }
  return {
    verified: true,
    accepted: failure === undefined,
    platform: evidence.anchor.platform,
    ...describe(findings, log, failure),
    evidence,
  }
}

function verifyTdEvidence(
  input: EvidenceInput,
  log: CheckLog,
  findings: Findings,
): VerifiedTdEvidence {
  const quote = log.run(
    'quote-format',
    () => parseTdQuote(input.quote),
    ({ version, report }) => `version ${version}, TD ${report.version}`,
  )
  findings.quote = quote
  const unmatched = verifyGenuine(
    quote,
    { tcbInfoId: 'TDX', qeIdentityId: 'TD_QE' },
    input,
    log,
    findings,
  )
  const tcb = log.run(
    'tcb-level',
    () => {
      const state = matchTd(quote.report, unmatched)
      findings.tcb = state
      requireNotRevokedTcb(state)
      return state
    },
    ({ status }) => status,
  )
  return { ...unmatched.genuine, quote, tcb }
}

function checkTdPolicy(
  { quote, tcb, tcbEvaluationDataNumber }: VerifiedTdEvidence,
  now: number,
  policy: TdQuotePolicy,
): PolicyCheck[] {
  const { report } = quote
  const debug = isDebug(report)
  const checks = [
    check(
      'debug',
      'DEBUG_NOT_ALLOWED',
      !debug || policy.allowDebug === true,
      'a production domain',
      debug ? 'a debug domain' : 'a production domain',
    ),
  ]
  if (policy.reportData !== undefined) {
    const wanted = padded(policy.reportData, 'reportData')
    const same = equalSecret(report.reportData, wanted)
    const actual = toHex(report.reportData)
    checks.push(check('report-data', 'REPORT_DATA_MISMATCH', same, toHex(wanted), actual))
  }
  if (policy.mrTds !== undefined) {
    const match = policy.mrTds.some((mrTd) => equalSecret(mrTd, report.mrTd))
    const expected = policy.mrTds.map(toHex).join(' or ') || 'none'
    checks.push(check('measurement', 'MEASUREMENT_MISMATCH', match, expected, toHex(report.mrTd)))
  }
  return [...checks, ...checkTcb({ tcb, tcbEvaluationDataNumber, now }, policy)]
}

function isDebug(report: TdReport): boolean {
  return (report.tdAttributes & TD_ATTRIBUTES.DEBUG) !== 0n
}

function describe(
  findings: Findings,
  log: CheckLog,
  failure: AttestError | undefined,
): Omit<TdQuoteResult, 'verified' | 'accepted' | 'platform' | 'evidence'> {
  const { quote, pck, tcb, tcbEvaluationDataNumber } = findings
  const report = quote?.report
  return {
    ...(failure && {
      code: failure.code,
      message: failure.message,
      next: failure.next ?? codeRow(failure.code)?.next ?? '',
    }),
    ...(tcb && {
      status: tcb.status,
      platformStatus: tcb.platformStatus,
      qeStatus: tcb.qeStatus,
      ...(tcb.moduleStatus !== undefined && { moduleStatus: tcb.moduleStatus }),
    }),
    advisoryIds: tcb?.advisoryIds ?? [],
    ...(tcbEvaluationDataNumber !== undefined && { tcbEvaluationDataNumber }),
    debug: report ? isDebug(report) : null,
    mrTd: report ? toHex(report.mrTd) : null,
    mrSeam: report ? toHex(report.mrSeam) : null,
    mrConfigId: report ? toHex(report.mrConfigId) : null,
    rtmr: report?.rtmr.map(toHex) ?? [],
    reportData: report ? toHex(report.reportData) : null,
    fmspc: pck ? toHex(pck.fmspc) : null,
    checks: log.checks,
  }
}
