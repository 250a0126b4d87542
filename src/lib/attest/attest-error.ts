import type { AttestCode } from '#lib/errors'
import { CodedError } from '#lib/errors'

/** Facts of a failed check. */
export interface AttestErrorOptions {
  /** The field or artefact that was looked at. */
  readonly field?: string
  readonly expected?: string
  readonly actual?: string
  readonly cause?: unknown
}

/**
 * Evidence or its collateral failed one check. `code` names the check (docs/formats/quote.md),
 * `field`, `expected` and `actual` say what was seen. All of it is public data.
 */
export class AttestError extends CodedError<AttestCode> {
  readonly field: string | undefined
  readonly expected: string | undefined
  readonly actual: string | undefined

  constructor(code: AttestCode, message: string, options: AttestErrorOptions = {}) {
    const { cause, ...facts } = options
    super(code, message, cause === undefined ? { details: facts } : { details: facts, cause })
    this.field = options.field
    this.expected = options.expected
    this.actual = options.actual
  }
}
