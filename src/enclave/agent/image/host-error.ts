import { CodedError, isCoded } from '#lib/errors'
import { AgentError } from '../agent-error.ts'
import { BrokerError } from '../broker/broker-error.ts'
import { causes } from './decision-report.ts'

/** Codes that say nothing of what is inside the image, so the host may see them whenever they come. */
const OPEN_CODES =
  /^(?:NETWORK|TLS|REGISTRY|TEE|LAUNCH|KEY)_|^(?:DISK_FULL|SPOOL_FAILED|INTERRUPTED)$/

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
  const shown = keyRefusal(error) ?? error
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

function isOpen(error: unknown): boolean {
  if (error instanceof BrokerError) return true
  return isCoded(error) && OPEN_CODES.test(error.code) && !isKeyFault(error.code)
}

/** Codes of ocicrypt about a key's content; they begin like our refusals but come out of decryption. */
function isKeyFault(code: string): boolean {
  return code.startsWith('KEY_') && !code.endsWith('_REFUSED')
}

/**
 * The refusal behind LAYER_KEY_UNAVAILABLE, where one of the wrapped keys was refused by owner or broker:
 * that is a decision about the image, not a fact of its content.
 */
function keyRefusal(error: unknown): unknown {
  if (!isCoded(error) || error.code !== 'LAYER_KEY_UNAVAILABLE') return undefined
  const causes = error.cause instanceof AggregateError ? error.cause.errors : [error.cause]
  return causes.find((cause) => isOpen(cause))
}

function codeOf(error: unknown): { code?: string } {
  return isCoded(error) ? { code: error.code } : {}
}
