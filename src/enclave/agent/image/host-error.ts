import { CodedError, isCoded } from '#lib/errors'
import { AgentError } from '../agent-error.ts'
import { decidingError, isOpen } from './deciding-error.ts'
import { causes } from './decision-report.ts'

/** How an error is shown to the host. */
export interface Showing {
  /** Content of the image was being read: after the launch decision. */
  readonly content: boolean
  /** The host asked for causes on a platform whose operator can read memory anyhow. */
  readonly explain: boolean
  /** The broker's id of the report about it. */
  readonly decisionId: string | undefined
}

/**
 * The error that leaves the enclave. Whatever is wrong with the content of an image looks alike to the
 * host, or it could learn of the plaintext by changing bytes and looking where that shows
 * (own-protocols 3 and 10). The owner finds the cause in the broker's log.
 */
export function hostError(error: unknown, showing: Showing): unknown {
  const shown = decidingError(error)
  if (showing.content && !isOpen(shown)) {
    return new AgentError('IMAGE_REJECTED', 'preparing the image: its content is not accepted', {
      cause: error,
      ...(showing.decisionId === undefined ? {} : { correlationId: showing.decisionId }),
      ...(showing.explain ? { details: { cause: causes(error), ...codeOf(error) } } : {}),
    })
  }
  if (!isCoded(shown) || shown.correlationId !== undefined || showing.decisionId === undefined) {
    return shown
  }
  const { code, message, next, retryable, details } = shown
  return new CodedError(code, message, {
    cause: shown,
    correlationId: showing.decisionId,
    ...(next === undefined ? {} : { next }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(details === undefined ? {} : { details }),
  })
}

function codeOf(error: unknown): { code?: string } {
  return isCoded(error) ? { code: error.code } : {}
}
