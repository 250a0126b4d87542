import { CodedError } from '#lib/errors'

/** Codes of a handover; see `docs/errors.md`. */
export type HandoverCode =
  | 'HANDOVER_UNKNOWN'
  | 'HANDOVER_SPENT'
  | 'HANDOVER_EXPIRED'
  | 'HANDOVER_BUSY'
  | 'HANDOVER_STATE'
  | 'HANDOVER_REFUSED'

/** A handover was not completed. */
export class HandoverError extends CodedError<HandoverCode> {}

/**
 * One code and one text for every check of the peer: whoever relays the messages learns nothing
 * of what failed. The reason is the cause, which stays inside the enclave.
 */
export function refused(reason: string, cause?: unknown): HandoverError {
  return new HandoverError('HANDOVER_REFUSED', 'handing over to the container enclave: refused', {
    cause: new Error(reason, { cause }),
  })
}
