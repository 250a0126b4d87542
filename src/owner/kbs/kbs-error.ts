import type { KbsCode } from '#lib/errors'
import { CodedError } from '#lib/errors'

/** A failure of the broker or of its clients. */
export class KbsError extends CodedError<KbsCode> {}
