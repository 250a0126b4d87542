import { CodedError, type NetworkCode } from '#lib/errors'

/** Codes with which a transport fails before it has an answer, or in the middle of one. */
export type HttpCode = Extract<NetworkCode, `NETWORK_${string}` | `TLS_${string}`>

/** No complete answer came. Transports throw it; its `retryable` comes from the code table. */
export class HttpError extends CodedError<HttpCode> {}
