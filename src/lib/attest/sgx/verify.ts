import { toHex } from '#lib/bytes'
import { codeRow } from '#lib/errors'
import { AttestError } from '../attest-error.ts'
import { FLAGS } from './attributes.ts'
import { CheckLog, type QuoteCheck } from './check-log.ts'
import type { Collateral } from './collateral.ts'
import { checkedGrace } from './collateral-grace.ts'
import { type Findings, type VerifiedEvidence, verifyEvidence } from './evidence.ts'
import { checkPolicy, type QuotePolicy } from './policy.ts'
import type { TcbStatus } from './tcb-status.ts'
import type { TrustAnchor } from './trust-anchor.ts'

/** Input of `verifyQuote`. */
export interface VerifyQuoteInput {
  readonly quote: Uint8Array
  readonly collateral: Collateral
  /** Roots to trust. None of them is implied, not Intel's either. */
  readonly anchors: readonly TrustAnchor[]
  /** From a clock that neither the attester nor the host sets. */
  readonly now: Date
  /** Default: the safe one, see `QuotePolicy`. */
  readonly policy?: QuotePolicy
  /**
   * Milliseconds for which CRLs, TCB info and QE identity still count after their end, at most
   * `MAX_COLLATERAL_GRACE`: for a relying party that prefers old word of revocations to none while its
   * service is away. Certificates get none. A verdict on expired collateral says so. Default 0.
   */
  readonly collateralGrace?: number
}

/**
 * The verdict on a quote. Facts about the enclave are null where the quote could not be read,
 * and are claims of the sender, nothing more, while `verified` is false.
 */
export interface QuoteResult {
  /** True if the quote is genuine: made by a platform under an anchor that is not revoked. */
  readonly verified: boolean
  /** True if it also meets the policy. Nothing may be released otherwise. */
  readonly accepted: boolean
  /** Code of the first check that failed. */
  readonly code?: AttestError['code']
  /** What that check found. */
  readonly message?: string
  /** What to do about it. */
  readonly next?: string
  /** `simulated` for every root but Intel's; present where `verified`. */
  readonly platform?: 'simulated' | 'sgx'
  readonly status?: TcbStatus
  readonly platformStatus?: TcbStatus
  readonly qeStatus?: TcbStatus
  readonly advisoryIds: readonly string[]
  readonly tcbEvaluationDataNumber?: number
  readonly debug: boolean | null
  /** Byte strings are lower-case hex. */
  readonly mrEnclave: string | null
  readonly mrSigner: string | null
  readonly isvProdId: number | null
  readonly isvSvn: number | null
  readonly configId: string | null
  readonly fmspc: string | null
  readonly checks: readonly QuoteCheck[]
  /** Present where `verified`: what appraisal and claims are made of. */
  readonly evidence?: VerifiedEvidence
}

/**
 * Verifies a quote with its collateral and judges it by a policy (docs/formats/quote.md). Checks of
 * authenticity stop at the first failure; those of the policy are all made. Evidence that
 * fails is a result, not an exception; RangeError for a `now` that is no date and for a grace out of range.
 */
export function verifyQuote(input: VerifyQuoteInput): QuoteResult {
  const now = input.now.getTime()
  // NaN compares false with every date: each "is it expired?" would say no.
  if (Number.isNaN(now)) throw new RangeError('now is not a date')
  const grace = checkedGrace(input.collateralGrace)
  const log = new CheckLog()
  const findings: Findings = {}
  let evidence: VerifiedEvidence
  try {
    const { quote, collateral, anchors } = input
    evidence = verifyEvidence({ quote, collateral, anchors, now, grace }, log, findings)
  } catch (error) {
    if (!(error instanceof AttestError)) throw error
    return { verified: false, accepted: false, ...describe(findings, log, error) }
  }
  const subject = {
    report: evidence.quote.body,
    tcb: evidence.tcb,
    tcbEvaluationDataNumber: evidence.tcbEvaluationDataNumber,
    now,
  }
  let failure: AttestError | undefined
  for (const check of checkPolicy(subject, input.policy ?? {})) {
    if (check.failure === undefined) log.passed(check.name, check.actual)
    else log.failed(check.name, check.failure)
    failure ??= check.failure
  }
  return {
    verified: true,
    accepted: failure === undefined,
    platform: evidence.anchor.platform,
    ...describe(findings, log, failure),
    evidence,
  }
}

function describe(
  findings: Findings,
  log: CheckLog,
  failure: AttestError | undefined,
): Omit<QuoteResult, 'verified' | 'accepted' | 'platform' | 'evidence'> {
  const { quote, pck, tcb, tcbEvaluationDataNumber } = findings
  const body = quote?.body
  return {
    ...(failure && { code: failure.code, message: failure.message, next: nextStep(failure) }),
    ...(tcb && {
      status: tcb.status,
      platformStatus: tcb.platformStatus,
      qeStatus: tcb.qeStatus,
    }),
    advisoryIds: tcb?.advisoryIds ?? [],
    ...(tcbEvaluationDataNumber !== undefined && { tcbEvaluationDataNumber }),
    debug: body ? (body.flags & FLAGS.DEBUG) !== 0n : null,
    mrEnclave: body ? toHex(body.mrEnclave) : null,
    mrSigner: body ? toHex(body.mrSigner) : null,
    isvProdId: body?.isvProdId ?? null,
    isvSvn: body?.isvSvn ?? null,
    configId: body ? toHex(body.configId) : null,
    fmspc: pck ? toHex(pck.fmspc) : null,
    checks: log.checks,
  }
}

function nextStep(failure: AttestError): string {
  return failure.next ?? codeRow(failure.code)?.next ?? ''
}
