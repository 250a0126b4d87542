import { CodedError, type OciCode } from '#lib/errors'

/** An image name, digest, manifest or configuration was refused. */
export class OciError extends CodedError<OciCode> {}
