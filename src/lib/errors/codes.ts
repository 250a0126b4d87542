import type { CodeRow, CodeTable } from './coded-error.ts'
import { GENERAL_CODES } from './codes/general.ts'

/**
 * Every stable code of CLI, broker and agent. One file an area in `codes/`;
 * `docs/errors.md` is generated from this table and a test keeps both equal.
 */
export const CODES: CodeTable = {
  ...GENERAL_CODES,
}

/** The table's row of a code; undefined for a code that is not ours. */
export function codeRow(code: string): CodeRow | undefined {
  return Object.hasOwn(CODES, code) ? CODES[code] : undefined
}
