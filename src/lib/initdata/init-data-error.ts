import type { InitDataCode } from '#lib/errors'
import { CodedError } from '#lib/errors'

/** An init-data document or a resource name that does not follow its format. */
export class InitDataError extends CodedError<InitDataCode> {}
