import * as cedar from '@cedar-policy/cedar-wasm/nodejs'
import { fromUtf8, utf8 } from '#lib/bytes'
import { type PolicyKind, SCHEMAS } from './schema.ts'

/** Largest policy text, in UTF-16 units. */
export const MAX_POLICY = 262_144

/** One thing wrong with a policy text. Lines and columns count from 1; columns in characters. */
export interface PolicyProblem {
  readonly line: number
  readonly column: number
  readonly message: string
  readonly help?: string
}

/** Outcome of `validatePolicy`: ready when `problems` is empty. */
export interface PolicyValidation {
  readonly problems: readonly PolicyProblem[]
  /** Harmless but probably not meant, for example a rule that can never apply. */
  readonly warnings: readonly PolicyProblem[]
  /** Policy id to its own text. */
  readonly policies: Readonly<Record<string, string>>
}

/**
 * Checks a policy text against the schema of its kind. Every policy must have its own
 * `@id("…")`, since that is what a refusal is explained with; templates are not taken.
 */
export function validatePolicy(kind: PolicyKind, text: string): PolicyValidation {
  const whole = (message: string): PolicyValidation => ({
    problems: [{ line: 1, column: 1, message }],
    warnings: [],
    policies: {},
  })
  if (text.length > MAX_POLICY) return whole(`the policy is longer than ${MAX_POLICY} characters`)
  if (!text.isWellFormed()) return whole('the policy has half a surrogate pair')
  const place = locator(text)
  const parts = cedar.policySetTextToParts(text)
  if (parts.type === 'failure') {
    return { problems: parts.errors.map(place), warnings: [], policies: {} }
  }
  if (parts.policy_templates.length > 0) return whole('templates are not supported')
  const named = nameParts(text, parts.policies)
  const answer = cedar.validate({ schema: SCHEMAS[kind], policies: { staticPolicies: text } })
  if (answer.type === 'failure') {
    return { problems: answer.errors.map(place), warnings: [], policies: {} }
  }
  return {
    problems: [...named.problems, ...answer.validationErrors.map(({ error }) => place(error))],
    warnings: answer.validationWarnings.map(({ error }) => place(error)),
    policies: named.policies,
  }
}

function nameParts(
  text: string,
  parts: readonly string[],
): { problems: PolicyProblem[]; policies: Record<string, string> } {
  const problems: PolicyProblem[] = []
  const policies: Record<string, string> = Object.create(null)
  for (const part of parts) {
    const json = cedar.policyToJson(part)
    const id = json.type === 'success' ? json.json.annotations?.id : undefined
    const at = position(text.slice(0, Math.max(0, text.indexOf(part))))
    if (id === undefined || !/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/.test(id)) {
      problems.push({ ...at, message: 'the policy needs an annotation like @id("my-rule")' })
    } else if (id in policies) {
      problems.push({ ...at, message: `the id ${id} is used twice` })
    } else {
      policies[id] = part
    }
  }
  return { problems, policies }
}

// Cedar counts bytes of UTF-8 from the start of the text.
function locator(text: string): (error: cedar.DetailedError) => PolicyProblem {
  const bytes = utf8(text)
  return ({ message, help, sourceLocations }) => {
    const [label] = sourceLocations ?? []
    // `policy0` is Cedar's own number for it; the position says it better.
    const said = message.replace(/^for policy `policy\d+`, /, '')
    const full = label?.label ? `${said}: ${label.label}` : said
    return {
      ...position(fromUtf8(bytes.subarray(0, label?.start ?? 0), 'policy')),
      message: full,
      ...(help === null ? {} : { help }),
    }
  }
}

function position(before: string): { line: number; column: number } {
  const lines = before.split('\n')
  return { line: lines.length, column: [...(lines.at(-1) ?? '')].length + 1 }
}
