import { CodedError, type GeneralCode, type ImageTransportCode } from '#lib/errors'

/** An image cannot be read from, or written to, the place that was named. */
export class ImageError extends CodedError<ImageTransportCode | GeneralCode> {}
