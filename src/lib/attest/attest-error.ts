import type { FormatError } from '#lib/bytes'
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

/** A check that failed because something does not parse; `expected` says as what it should have. */
export function malformed(
  code: AttestCode,
  attempt: string,
  cause: FormatError,
  facts: { readonly expected: string; readonly field?: string },
): AttestError {
  return new AttestError(code, `${attempt}: ${cause.message}`, {
    field: facts.field ?? cause.field,
    expected: facts.expected,
    actual: cause.message,
    cause,
  })
}

/** A check that failed because a signature does not hold; `signer` is whose it had to be. */
export function badSignature(
  code: AttestCode,
  attempt: string,
  facts: { readonly field: string; readonly signer: string; readonly cause?: unknown },
): AttestError {
  return new AttestError(code, attempt, {
    field: facts.field,
    expected: `a signature by ${facts.signer} over exactly these bytes`,
    actual: 'one that does not hold',
    cause: facts.cause,
  })
}
