/** What a row of the code table says of one stable error code. */
export interface CodeRow {
  /** One sentence: what it means when this code is seen. */
  readonly meaning: string
  /** What the reader should do next. */
  readonly next: string
  /** True where trying the same thing again later may succeed. */
  readonly retryable?: boolean
}

/** One component's table of codes, `satisfies CodeTable`. */
export type CodeTable = Readonly<Record<string, CodeRow>>

/** Options of a `CodedError`. */
export interface CodedErrorOptions {
  readonly cause?: unknown
  /** Overrides the table's next step where the place of failure knows better. */
  readonly next?: string
  /** Overrides the table's `retryable`. */
  readonly retryable?: boolean
  /** The broker's correlation id, for `enclave-cc kbs explain ID`. */
  readonly correlationId?: string
  /** Facts for the owner; never a secret. Shown with `--json`. */
  readonly details?: Readonly<Record<string, unknown>>
}

/**
 * An error that a user or a peer can act on: a stable `code` and one sentence.
 * Components derive one class each (`class OciError extends CodedError<OciCode>`);
 * callers switch on `code`, never on the text. Programmer mistakes stay TypeError.
 */
export class CodedError<C extends string = string> extends Error {
  readonly code: C
  readonly next: string | undefined
  readonly retryable: boolean | undefined
  readonly correlationId: string | undefined
  readonly details: Readonly<Record<string, unknown>> | undefined

  constructor(code: C, message: string, options: CodedErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.next = options.next
    this.retryable = options.retryable
    this.correlationId = options.correlationId
    this.details = options.details
  }
}

/** True for an error with a stable code, whichever bundle's class made it. */
export function isCoded(error: unknown): error is CodedError {
  return error instanceof Error && typeof (error as { code?: unknown }).code === 'string'
    ? /^[A-Z][A-Z0-9_]+$/.test((error as CodedError).code) && 'retryable' in error
    : false
}
