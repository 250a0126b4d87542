import { isCoded } from '#lib/errors'
import { BrokerError } from '../broker/broker-error.ts'

/** Codes that say nothing of what is inside the image, so the host may see them whenever they come. */
const OPEN_CODES =
  /^(?:NETWORK|TLS|REGISTRY|TEE|LAUNCH|KEY)_|^(?:DISK_FULL|SPOOL_FAILED|INTERRUPTED)$/

/** True for an error whose code may be shown whenever it comes. */
export function isOpen(error: unknown): boolean {
  if (error instanceof BrokerError) return true
  return isCoded(error) && OPEN_CODES.test(error.code) && !isKeyFault(error.code)
}

/** Codes of ocicrypt about a key's content; they begin like our refusals but come out of decryption. */
function isKeyFault(code: string): boolean {
  return code.startsWith('KEY_') && !code.endsWith('_REFUSED')
}

/**
 * What decided: the error itself, or the refusal behind LAYER_KEY_UNAVAILABLE, where one of the wrapped
 * keys was refused by owner or broker: that is a decision about the image, not a fact of its content.
 */
export function decidingError(error: unknown): unknown {
  if (!isCoded(error) || error.code !== 'LAYER_KEY_UNAVAILABLE') return error
  const causes = error.cause instanceof AggregateError ? error.cause.errors : [error.cause]
  return causes.find((cause) => isOpen(cause)) ?? error
}
