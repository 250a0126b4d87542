import { equalSecret, toHex } from '#lib/bytes'
import { AttestError } from '../attest-error.ts'
import { FLAGS } from './attributes.ts'
import { REPORT_DATA_SIZE, type ReportBody } from './report.ts'
import type { AnyTcbStatus, TcbState, TcbStatus } from './tcb-status.ts'

/** Statuses accepted where a policy names none. */
export const DEFAULT_TCB_STATUSES: readonly TcbStatus[] = ['UpToDate', 'SWHardeningNeeded']

/** An enclave that is allowed: one build, or any build of one author's product from a version on. */
export type AllowedEnclave =
  | { readonly mrEnclave: Uint8Array }
  | { readonly mrSigner: Uint8Array; readonly isvProdId: number; readonly minIsvSvn: number }

/** What a relying party demands of evidence that is genuine. Absent members demand nothing. */
export interface QuotePolicy {
  /** Accept enclaves that the host can read. Only tests do. Default false. */
  readonly allowDebug?: boolean
  /** Default `DEFAULT_TCB_STATUSES`. A revoked TCB is never accepted. */
  readonly tcbStatuses?: readonly AnyTcbStatus[]
  /** Refuse collateral from before this TCB recovery, so that an attester cannot pick old one. */
  readonly minTcbEvaluationDataNumber?: number
  /** Refuse TCB levels whose date is longer ago, in milliseconds. */
  readonly maxTcbAge?: number
  /** Advisories that may apply; others refuse. */
  readonly allowedAdvisoryIds?: readonly string[]
  /** One of these must match; an empty list allows none. */
  readonly enclaves?: readonly AllowedEnclave[]
  /** At most 64 bytes, zero-padded: nonce and key of the session. */
  readonly reportData?: Uint8Array
  /** At most 64 bytes, zero-padded: the init-data digest. Needs an enclave with KSS. */
  readonly configId?: Uint8Array
}

/** Facts about a platform that a policy looks at. */
export interface TcbSubject {
  readonly tcb: Pick<TcbState, 'date' | 'advisoryIds'> & { readonly status: AnyTcbStatus }
  readonly tcbEvaluationDataNumber: number
  /** Milliseconds since 1970. */
  readonly now: number
}

/** Facts that a policy looks at. */
export interface PolicySubject extends TcbSubject {
  readonly report: ReportBody
}

/** One demand of a policy: its name, what is there, and the failure if it is not met. */
export interface PolicyCheck {
  readonly name: string
  readonly actual: string
  readonly failure: AttestError | undefined
}

/** Compares the facts with every demand, in the order of docs/formats/quote.md. */
export function checkPolicy(subject: PolicySubject, policy: QuotePolicy): PolicyCheck[] {
  const { report } = subject
  const forbidden = FLAGS.PROVISIONKEY | FLAGS.EINITTOKENKEY
  const checks = [
    check(
      'enclave-attributes',
      'ENCLAVE_ATTRIBUTES',
      (report.flags & FLAGS.INIT) !== 0n && (report.flags & forbidden) === 0n,
      'INIT, without PROVISIONKEY and EINITTOKENKEY',
      `flags 0x${report.flags.toString(16)}`,
    ),
    check(
      'debug',
      'DEBUG_NOT_ALLOWED',
      (report.flags & FLAGS.DEBUG) === 0n || policy.allowDebug === true,
      'a production enclave',
      (report.flags & FLAGS.DEBUG) === 0n ? 'a production enclave' : 'a debug enclave',
    ),
  ]
  if (policy.reportData !== undefined) {
    const { reportData } = report
    const wanted = padded(policy.reportData, 'reportData')
    const same = equalSecret(reportData, wanted)
    checks.push(
      check('report-data', 'REPORT_DATA_MISMATCH', same, toHex(wanted), toHex(reportData)),
    )
  }
  if (policy.configId !== undefined) checks.push(checkConfigId(report, policy.configId))
  if (policy.enclaves !== undefined) checks.push(checkEnclave(report, policy.enclaves))
  return [...checks, ...checkTcb(subject, policy)]
}

/** The part of `checkPolicy` that is about the platform. */
export function checkTcb(subject: TcbSubject, policy: QuotePolicy): PolicyCheck[] {
  const { tcb, tcbEvaluationDataNumber: number, now } = subject
  const checks: PolicyCheck[] = []
  const statuses = policy.tcbStatuses ?? DEFAULT_TCB_STATUSES
  const statusOk = tcb.status !== 'Revoked' && statuses.includes(tcb.status)
  checks.push(check('tcb-status', 'TCB_POLICY', statusOk, statuses.join(' or '), tcb.status))
  if (policy.allowedAdvisoryIds !== undefined) {
    const allowed = policy.allowedAdvisoryIds
    const all = tcb.advisoryIds.every((id) => allowed.includes(id))
    const actual = tcb.advisoryIds.join(', ') || 'none'
    checks.push(check('advisories', 'TCB_POLICY', all, allowed.join(', ') || 'none', actual))
  }
  if (policy.maxTcbAge !== undefined) {
    const earliest = now - policy.maxTcbAge
    const expected = `after ${new Date(earliest).toISOString()}`
    const actual = new Date(tcb.date).toISOString()
    checks.push(check('tcb-date', 'TCB_POLICY', tcb.date >= earliest, expected, actual))
  }
  if (policy.minTcbEvaluationDataNumber !== undefined) {
    const min = policy.minTcbEvaluationDataNumber
    checks.push(
      check(
        'tcb-evaluation-number',
        'TCB_EVAL_NUM_TOO_OLD',
        number >= min,
        `at least ${min}`,
        `${number}`,
      ),
    )
  }
  return checks
}

/** CONFIGID means something only where the CPU keeps it apart, that is with KSS. */
function checkConfigId(report: ReportBody, expected: Uint8Array): PolicyCheck {
  const kss = (report.flags & FLAGS.KSS) !== 0n
  const wanted = padded(expected, 'configId')
  const actual = kss ? toHex(report.configId) : 'an enclave without KSS'
  const same = kss && equalSecret(report.configId, wanted)
  return check('config-id', 'CONFIG_ID_MISMATCH', same, toHex(wanted), actual)
}

function checkEnclave(report: ReportBody, allowed: readonly AllowedEnclave[]): PolicyCheck {
  const match = allowed.some((enclave) =>
    'mrEnclave' in enclave
      ? equalSecret(enclave.mrEnclave, report.mrEnclave)
      : equalSecret(enclave.mrSigner, report.mrSigner) &&
        enclave.isvProdId === report.isvProdId &&
        report.isvSvn >= enclave.minIsvSvn,
  )
  const expected = allowed.map(showEnclave).join(' or ') || 'none'
  const actual =
    `mrEnclave ${toHex(report.mrEnclave)}, mrSigner ${toHex(report.mrSigner)}, ` +
    `product ${report.isvProdId}, version ${report.isvSvn}`
  return check('measurement', 'MEASUREMENT_MISMATCH', match, expected, actual)
}

function showEnclave(enclave: AllowedEnclave): string {
  return 'mrEnclave' in enclave
    ? `mrEnclave ${toHex(enclave.mrEnclave)}`
    : `mrSigner ${toHex(enclave.mrSigner)}, product ${enclave.isvProdId}, ` +
        `version at least ${enclave.minIsvSvn}`
}

/** One demand with its outcome. */
export function check(
  name: string,
  code: AttestError['code'],
  ok: boolean,
  expected: string,
  actual: string,
): PolicyCheck {
  const failure = ok
    ? undefined
    : new AttestError(code, `checking ${name}: found ${actual}`, { field: name, expected, actual })
  return { name, actual, failure }
}

/** Report data, zero-padded to its 64 bytes. RangeError if it is longer. */
export function padded(bytes: Uint8Array, field: string): Uint8Array {
  if (bytes.length > REPORT_DATA_SIZE) throw new RangeError(`${field} has over 64 bytes`)
  const out = new Uint8Array(REPORT_DATA_SIZE)
  out.set(bytes)
  return out
}
