import { CodedError } from '#lib/errors'
import { parseJson } from '#lib/json'
import { type Problem, parseProblem } from '#protocol/kbs'

/** The broker refused, or answered with what is not of its protocol. `code` is the broker's own where it gave one. */
export class BrokerError extends CodedError {
  /** HTTP status; 0 where the answer was not a refusal. */
  readonly status: number
  /** Upstream's name of the refusal, such as `TokenNotFound`, or ''. */
  readonly variant: string

  constructor(
    code: string,
    message: string,
    facts: { readonly status: number; readonly variant: string },
    options: ConstructorParameters<typeof CodedError>[2] = {},
  ) {
    super(code, message, options)
    this.status = facts.status
    this.variant = facts.variant
  }

  /** A new attestation may help: the broker says that the token is missing or no longer good. */
  get wantsAttestation(): boolean {
    const { status, variant } = this
    return status === 401 && (variant === 'TokenNotFound' || variant === 'TokenVerifierError')
  }
}

/** Codes for other brokers, which name their refusals by variant only (CoCo's KBS protocol). */
const VARIANT_CODES: ReadonlyMap<string, string> = new Map([
  ['TokenNotFound', 'KBS_TOKEN_MISSING'],
  ['TokenVerifierError', 'KBS_TOKEN_INVALID'],
  ['PolicyDeny', 'RELEASE_DENIED'],
  // Upstream says this also of a resource that it does not have.
  ['PluginInternalError', 'RESOURCE_NOT_FOUND'],
])

/** The error of an answer with a status other than 2xx. */
export function refusal(attempt: string, status: number, body: Uint8Array): BrokerError {
  const problem = problemOf(body)
  const variant = /\/([A-Za-z]{1,64})$/.exec(problem?.type ?? '')?.[1] ?? ''
  const code = problem?.code ?? VARIANT_CODES.get(variant) ?? codeOfStatus(status)
  const detail = printable(problem?.detail ?? '') || `status ${status}`
  return new BrokerError(
    code,
    `${attempt}: the broker refused: ${detail}`,
    { status, variant },
    {
      ...(problem?.next === undefined ? {} : { next: printable(problem.next) }),
      ...(problem?.retryable === undefined ? {} : { retryable: problem.retryable }),
      ...(problem?.correlationId === undefined
        ? {}
        : { correlationId: printable(problem.correlationId) }),
    },
  )
}

/** No answer came. */
export function unreachable(attempt: string, url: string, cause: unknown): BrokerError {
  const facts = { status: 0, variant: '' }
  const found = cause instanceof Error ? cause.message : ''
  const next = `check that the broker of the init-data, ${url}, runs and can be reached from this node`
  return new BrokerError('KBS_UNREACHABLE', `${attempt}: ${found}`, facts, {
    cause,
    next,
    retryable: true,
  })
}

/** An answer that breaks the protocol. */
export function answerInvalid(attempt: string, found: string, cause?: unknown): BrokerError {
  const facts = { status: 0, variant: '' }
  return new BrokerError('KBS_ANSWER_INVALID', `${attempt}: ${found}`, facts, { cause })
}

function problemOf(body: Uint8Array): Problem | undefined {
  try {
    return parseProblem(parseJson(body, { maxBytes: 65_536 }))
  } catch {
    return undefined
  }
}

function codeOfStatus(status: number): string {
  if (status === 404) return 'RESOURCE_NOT_FOUND'
  if (status === 429 || status === 503) return 'KBS_BUSY'
  return 'BROKER_REFUSED'
}

// What a peer says ends up on terminals and in logs: one line, no control characters.
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]+/g, ' ').slice(0, 1024)
}
