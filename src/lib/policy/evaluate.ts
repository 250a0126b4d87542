import { createHash } from 'node:crypto'
import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { CodedError, type PolicyCode } from '#lib/errors'
import { type CedarRequest, type PolicyRequest, toCedar } from './request.ts'
import { type PolicyKind, SCHEMAS } from './schema.ts'
import { validatePolicy } from './validate.ts'

/** A policy text that cannot be used. */
export class PolicyError extends CodedError<PolicyCode> {}

/** What a policy decided. */
export interface PolicyDecision {
  readonly allowed: boolean
  /**
   * Ids of the deciding policies: the permits of an allow, the forbids of a deny. Empty on a deny
   * where no permit matched.
   */
  readonly policyIds: readonly string[]
  /** `POLICY_ERROR` where the request could not be evaluated; such a request is denied. */
  readonly code?: 'POLICY_ERROR'
  /** What went wrong, with the policy's id where one is to blame. */
  readonly errors: readonly { readonly policyId?: string; readonly message: string }[]
}

const KINDS: Readonly<Record<PolicyKind, readonly string[]>> = {
  appraise: ['appraise'],
  release: ['read'],
  launch: [
    ...['run', 'use-key', 'set-args', 'set-entrypoint', 'set-env', 'set-user', 'set-workdir'],
    ...['set-tty', 'set-stdin', 'set-scratch', 'mount', 'exec', 'attach', 'reveal'],
  ],
}

// Cedar keeps parsed texts by name for the life of the process; names are hashes, so that
// a text is parsed once however often it is used. The count is bounded by what owners set.
const ready = new Set<string>()

// Evaluation is pure, and a broker gets the same question again with each token and resource of
// one enclave. Oldest out; small enough that a hostile stream of questions costs little memory.
const MAX_REMEMBERED = 512
const MAX_QUESTION = 16_384
const remembered = new Map<string, PolicyDecision>()

/**
 * Answers one request with one policy. Deny by default; a forbid outweighs permits.
 *
 * *Any* evaluation error and any request outside the schema is a deny with code POLICY_ERROR:
 * Cedar itself skips a policy that errs, so that a forbid which reads a missing attribute
 * would otherwise turn into an allow (docs/own-protocols.md 10).
 *
 * Throws PolicyError POLICY_INVALID if the text does not pass `validatePolicy`, and TypeError if
 * the request is not of this kind.
 */
export function evaluate(kind: PolicyKind, text: string, request: PolicyRequest): PolicyDecision {
  requireKind(kind, request)
  const policySet = prepare(kind, text)
  const cedarRequest = toCedar(request)
  const question = `${policySet} ${JSON.stringify(cedarRequest)}`
  const known = remembered.get(question)
  if (known !== undefined) return known
  const decision = ask(kind, policySet, cedarRequest)
  if (question.length > MAX_QUESTION) return decision
  const [oldest] = remembered.size >= MAX_REMEMBERED ? remembered.keys() : []
  if (oldest !== undefined) remembered.delete(oldest)
  remembered.set(question, decision)
  return decision
}

/**
 * Answers as `evaluate` does, and keeps nothing: for texts that are only tried, of which there is
 * no end. Throws what `evaluate` throws.
 */
export function tryPolicy(kind: PolicyKind, text: string, request: PolicyRequest): PolicyDecision {
  requireKind(kind, request)
  const trial = `${kind}-trial`
  // The next trial takes this one's place in Cedar; nothing else runs between here and the answer.
  preparse(kind, text, trial)
  return ask(kind, trial, toCedar(request))
}

function requireKind(kind: PolicyKind, request: PolicyRequest): void {
  if (KINDS[kind].includes(request.action)) return
  throw new TypeError(`evaluate: ${request.action} is not a question of the ${kind} policy`)
}

function ask(kind: PolicyKind, policySet: string, request: CedarRequest): PolicyDecision {
  const answer = cedar.statefulIsAuthorized({
    ...request,
    preparsedSchemaName: kind,
    validateRequest: true,
    preparsedPolicySetId: policySet,
  })
  if (answer.type === 'failure') {
    return deny(answer.errors.map(({ message }) => ({ message })))
  }
  const { decision, diagnostics } = answer.response
  if (diagnostics.errors.length > 0) {
    return deny(diagnostics.errors.map((e) => ({ policyId: e.policyId, message: e.error.message })))
  }
  return { allowed: decision === 'allow', policyIds: diagnostics.reason.toSorted(), errors: [] }
}

function deny(errors: PolicyDecision['errors']): PolicyDecision {
  const policyIds = errors.flatMap(({ policyId }) => policyId ?? [])
  return { allowed: false, policyIds, code: 'POLICY_ERROR', errors }
}

function prepare(kind: PolicyKind, text: string): string {
  const name = `${kind}-${createHash('sha256').update(text).digest('hex')}`
  if (ready.has(name)) return name
  preparse(kind, text, name)
  ready.add(name)
  return name
}

function preparse(kind: PolicyKind, text: string, name: string): void {
  const { problems, policies } = validatePolicy(kind, text)
  const [first] = problems
  if (first !== undefined) {
    const place = `line ${first.line}, column ${first.column}`
    const message = `reading the ${kind} policy: ${place}: ${first.message}`
    throw new PolicyError('POLICY_INVALID', message, { details: { problems } })
  }
  const schema = ready.has(kind)
    ? ({ type: 'success' } as const)
    : cedar.preparseSchema(kind, SCHEMAS[kind])
  const parsed = cedar.preparsePolicySet(name, { staticPolicies: { ...policies } })
  if (schema.type === 'failure' || parsed.type === 'failure') {
    throw new PolicyError('POLICY_INVALID', `reading the ${kind} policy: Cedar refused it`)
  }
  ready.add(kind)
}
