import { CodedError } from '#lib/errors'
import type { Any, Status } from './envelope.ts'

/** The gRPC status codes that we send; containerd maps every other one to "unknown". */
export const STATUS = {
  OK: 0,
  CANCELLED: 1,
  UNKNOWN: 2,
  INVALID_ARGUMENT: 3,
  DEADLINE_EXCEEDED: 4,
  NOT_FOUND: 5,
  ALREADY_EXISTS: 6,
  PERMISSION_DENIED: 7,
  RESOURCE_EXHAUSTED: 8,
  FAILED_PRECONDITION: 9,
  UNIMPLEMENTED: 12,
  UNAVAILABLE: 14,
} as const

/** Codes of a failed call; see `docs/errors.md`. */
export type TtrpcErrorCode =
  | 'TTRPC_STATUS'
  | 'TTRPC_TIMEOUT'
  | 'TTRPC_CANCELLED'
  | 'TTRPC_CLOSED'
  | 'TTRPC_PROTOCOL'

/** A call failed: refused by the peer (`TTRPC_STATUS`, with its status) or never answered. */
export class TtrpcError extends CodedError<TtrpcErrorCode> {
  /** gRPC status code; of the peer for `TTRPC_STATUS`, else the nearest one. */
  readonly status: number
  /** Details of the peer's status. */
  readonly statusDetails: readonly Any[]

  constructor(
    code: TtrpcErrorCode,
    message: string,
    status: number,
    options: { readonly cause?: unknown; readonly statusDetails?: readonly Any[] } = {},
  ) {
    super(code, message, options.cause === undefined ? {} : { cause: options.cause })
    this.status = status
    this.statusDetails = options.statusDetails ?? []
  }
}

/** A handler throws this to answer with a status of its own choice, as the task API needs. */
export class StatusError extends Error {
  readonly status: Status

  constructor(code: number, message: string, details: readonly Any[] = []) {
    super(message)
    this.name = 'StatusError'
    this.status = { code, message, details }
  }
}
