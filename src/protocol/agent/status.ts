import { utf8 } from '#lib/bytes'
import { CodedError, isCoded } from '#lib/errors'
import { boolean, type JsonObject, object, optional, parseJson, string } from '#lib/json'
import { STATUS, type Status, TtrpcError } from '#lib/ttrpc'

/** Type of the one detail that carries the rest of a coded error, as JSON. */
export const ERROR_DETAIL = 'enclave-cc/error.v1+json'

const MAX_DETAIL = 64 * 1024
const CODE = /^[A-Z][A-Z0-9_]{0,63}$/

/** An error that the other side of a boundary reported, with its own code. */
export class RemoteError extends CodedError {}

/** The status of an error. A defect shows nothing but that it is one: its text may hold what must not leave. */
export function toStatus(error: unknown): Status {
  if (!isCoded(error)) {
    return {
      code: STATUS.UNKNOWN,
      message: 'the enclave failed',
      details: [detail({ code: 'INTERNAL' })],
    }
  }
  const { code, message, next, retryable, correlationId, details } = error
  return {
    code: code.startsWith('FORMAT_') ? STATUS.INVALID_ARGUMENT : STATUS.FAILED_PRECONDITION,
    message,
    details: [detail({ code, next, retryable, correlationId, details })],
  }
}

/** The coded error of a status; anything that is not a refusal of the peer stays what it is. */
export function fromStatus(error: unknown): unknown {
  if (!(error instanceof TtrpcError) || error.code !== 'TTRPC_STATUS') return error
  const found = error.statusDetails.find((detail) => detail.typeUrl === ERROR_DETAIL)
  if (found === undefined) return error
  try {
    const json = object(parseJson(found.value, { maxBytes: MAX_DETAIL }), 'error detail')
    const code = string(json.code, 'code')
    if (!CODE.test(code)) return error
    return new RemoteError(code, error.message, { cause: error, ...optionsOf(json) })
  } catch {
    return error
  }
}

function detail(value: Readonly<Record<string, unknown>>): { typeUrl: string; value: Uint8Array } {
  // JSON.stringify leaves undefined members out.
  return { typeUrl: ERROR_DETAIL, value: utf8(JSON.stringify(value)) }
}

function optionsOf(json: JsonObject): {
  next?: string
  retryable?: boolean
  correlationId?: string
  details?: Readonly<Record<string, unknown>>
} {
  const next = optional(json.next, (value) => string(value, 'next'))
  const retryable = optional(json.retryable, (value) => boolean(value, 'retryable'))
  const correlationId = optional(json.correlationId, (value) => string(value, 'correlationId'))
  const details = optional(json.details, (value) => object(value, 'details'))
  return {
    ...(next === undefined ? {} : { next }),
    ...(retryable === undefined ? {} : { retryable }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(details === undefined ? {} : { details }),
  }
}
