import { isCoded } from '#lib/errors'
import type { JsonObject } from '#lib/json'
import type { ImagePolicyResult } from '#lib/signing'
import { decidingError } from './deciding-error.ts'
import type { LaunchAnswer } from './launch-decision.ts'

/** What the owner's log is told of one launch (docs/formats/agent-protocol.md). */
export interface DecisionFacts {
  readonly containerId: string
  readonly podId: string
  /** Reference in full, as the host asked for it. */
  readonly reference: string
  /** Absent before a manifest was found. */
  readonly manifestDigest: string | undefined
  readonly signatures: ImagePolicyResult | undefined
  readonly answers: readonly LaunchAnswer[]
}

/** The report of a decision: `error` for a refusal, undefined for a launch that goes on. */
export function decisionReport(facts: DecisionFacts, error: unknown): JsonObject {
  const { containerId, podId, reference, manifestDigest } = facts
  const denied = error !== undefined
  // the code that the host sees too; what led to it is the last claim
  const decider = decidingError(error)
  const code = isCoded(decider) ? decider.code : 'INTERNAL'
  return {
    decision: denied ? 'deny' : 'allow',
    ...(denied ? { code } : {}),
    subject: manifestDigest === undefined ? reference : `${reference} (${manifestDigest})`,
    claims: claims(facts, error),
    policyIds: [...new Set(facts.answers.flatMap(({ policyIds }) => policyIds))].slice(0, 64),
    ...(isCoded(decider) && decider.next !== undefined ? { next: limited(decider.next) } : {}),
    container: containerId,
    pod: podId,
  }
}

function claims({ signatures, answers }: DecisionFacts, error: unknown): JsonObject[] {
  const found: JsonObject[] = []
  for (const { type, ok, code, expected, actual, signer } of signatures?.requirements ?? []) {
    found.push({
      name: `signature ${type}`,
      expected: expected === undefined ? [] : [limited(expected)],
      actual: limited(signer ?? actual ?? code ?? ''),
      ok,
    })
  }
  for (const { question, allowed } of answers) {
    found.push({
      name: nameOf(question),
      expected: [],
      actual: allowed ? 'permitted' : 'refused',
      ok: allowed,
    })
  }
  if (isCoded(error)) {
    found.push({ name: 'cause', expected: [], actual: limited(causes(error)), ok: false })
  }
  // Cut from the front: the cause comes last and matters most.
  return found.slice(-256)
}

function nameOf(question: LaunchAnswer['question']): string {
  switch (question.action) {
    case 'set-env':
      return `set-env ${limited(question.name)}`
    case 'use-key':
    case 'reveal':
      return `${question.action} ${question.resource.namespace}/${question.resource.type}/${question.resource.tag}`
    case 'mount':
      return `mount ${limited(question.destination)}`
    default:
      return question.action
  }
}

/** The chain of an error, for the owner: what the host is not told. */
export function causes(error: unknown): string {
  const lines: string[] = []
  for (let at: unknown = error; at instanceof Error && lines.length < 8; at = at.cause) {
    lines.push(isCoded(at) ? `${at.message} [${at.code}]` : at.message)
  }
  return lines.join('; ')
}

function limited(text: string): string {
  return text.length > 4000 ? `${text.slice(0, 4000)}…` : text
}
