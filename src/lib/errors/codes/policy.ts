/** Codes of policy texts and their evaluation. */
export const POLICY_CODES = {
  POLICY_INVALID: {
    meaning: 'A policy text does not parse or does not fit the schema of its kind.',
    next: 'correct the policy at the line and column that are named; docs/policy.md shows the schema',
  },
  POLICY_ERROR: {
    meaning: 'A policy could not be evaluated for this request, which counts as a refusal.',
    next: 'correct the policy that is named: test an attribute with "has" before it is read',
  },
} as const

/** A code of `POLICY_CODES`. */
export type PolicyCode = keyof typeof POLICY_CODES
