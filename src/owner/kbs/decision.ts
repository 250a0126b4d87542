import { randomBytes } from 'node:crypto'
import { toHex } from '#lib/bytes'
import { codeRow } from '#lib/errors'
import { array, boolean, type JsonObject, object, oneOf, string, strings } from '#lib/json'

/** One fact that a decision looked at. */
export interface Claim {
  readonly name: string
  /** What would have been accepted; several where any of them would. */
  readonly expected: readonly string[]
  readonly actual: string
  readonly ok: boolean
}

/** What decided, before it has an id. */
export interface Verdict {
  /** `ALLOWED`, or the code of the first thing that refused. */
  readonly code: string
  readonly subject: string
  readonly claims: readonly Claim[]
  /** Ids of the deciding policies. */
  readonly policyIds: readonly string[]
  /** The reference value that comes closest to a measurement that matches none. */
  readonly closestReference?: { readonly name: string; readonly differs: readonly string[] }
  /** Overrides the next step of the code. */
  readonly next?: string
}

/** Code of a decision to allow. */
export const ALLOWED = 'ALLOWED'

/** A decision as `kbs explain ID` shows it. */
export interface DecisionRecord extends Verdict {
  readonly id: string
  /** RFC 3339 UTC. */
  readonly time: string
  readonly kind: 'appraise' | 'release' | 'launch'
  readonly decision: 'allow' | 'deny'
  readonly next: string
}

/** Gives a verdict its id and time. `now` in milliseconds since 1970. */
export function decide(
  kind: DecisionRecord['kind'],
  verdict: Verdict,
  now: number,
): DecisionRecord {
  const allowed = verdict.code === ALLOWED
  return {
    ...verdict,
    id: toHex(randomBytes(8)),
    time: new Date(now).toISOString(),
    kind,
    decision: allowed ? 'allow' : 'deny',
    next: verdict.next ?? (allowed ? '' : (codeRow(verdict.code)?.next ?? '')),
  }
}

/** The record as JSON for the store. */
export function decisionDocument(record: DecisionRecord): JsonObject {
  return JSON.parse(JSON.stringify(record)) as JsonObject
}

/** One line of the audit log about a decision: what decided, never what was released. */
export function decisionEvent(record: DecisionRecord): JsonObject {
  const { id, kind, decision, code, subject, policyIds } = record
  return { event: 'decision', id, kind, decision, code, subject, policyIds: [...policyIds] }
}

/**
 * Parses what an agent reports about a launch. Only the form is checked: it is that enclave's
 * word, and is shown as such. Throws FormatError.
 */
export function parseLaunchReport(value: unknown): Verdict {
  const report = object(value, 'report')
  const text = (v: unknown, name: string): string => string(v, `report.${name}`, { max: 4096 })
  const decision = oneOf(report.decision, 'report.decision', ['allow', 'deny'])
  const code = string(report.code ?? ALLOWED, 'report.code', { pattern: /^[A-Z][A-Z0-9_]{1,63}$/ })
  return {
    code: decision === 'allow' ? ALLOWED : code === ALLOWED ? 'POLICY_ERROR' : code,
    subject: text(report.subject ?? '', 'subject'),
    claims: array(report.claims ?? [], 'report.claims', 256).map((item) => {
      const claim = object(item, 'claim')
      return {
        name: text(claim.name, 'claim.name'),
        expected: strings(claim.expected ?? [], 'claim.expected', { max: 4096, maxItems: 256 }),
        actual: text(claim.actual ?? '', 'claim.actual'),
        ok: boolean(claim.ok, 'claim.ok'),
      }
    }),
    policyIds: strings(report.policyIds ?? [], 'report.policyIds', { max: 256, maxItems: 64 }),
    ...(report.next === undefined ? {} : { next: text(report.next, 'next') }),
  }
}
