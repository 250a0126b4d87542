import { FormatError } from '#lib/bytes'
import { codeRow, isCoded } from '#lib/errors'
import type { Problem } from '#protocol/kbs'

const TYPE = 'https://github.com/confidential-containers/kbs/errors/'
const ATTEST_FAILED = 'Attestation error: RCAR handshake Attest failed'

interface Row {
  readonly status: number
  /** Upstream's name of the error (KBS protocol 0.4.0, `docs/kbs.md`). */
  readonly variant: string
  /** Constant text for peers; undefined where the error's own message gives nothing away. */
  readonly detail?: string
}

// 401 only where a client should attest again: upstream's clients do so on every 401.
const ROWS: Readonly<Record<string, Row>> = {
  KBS_PROTOCOL_VERSION: { status: 400, variant: 'AttestationError' },
  KBS_TEE_UNSUPPORTED: { status: 400, variant: 'AttestationError' },
  KBS_REQUEST_INVALID: { status: 400, variant: 'SerdeError' },
  KBS_BODY_TOO_LARGE: { status: 413, variant: 'SerdeError' },
  KBS_SESSION_UNKNOWN: { status: 401, variant: 'AttestationError', detail: ATTEST_FAILED },
  KBS_TOKEN_MISSING: {
    status: 401,
    variant: 'TokenNotFound',
    detail: 'Attestation Token not found',
  },
  KBS_TOKEN_INVALID: { status: 401, variant: 'TokenVerifierError', detail: 'Token Verifier error' },
  KBS_PROOF_INVALID: { status: 403, variant: 'AttestationError' },
  KBS_ADMIN_DENIED: { status: 401, variant: 'AdminAuthAccess' },
  KBS_ROUTE_UNKNOWN: { status: 404, variant: 'PluginNotFound' },
  KBS_BUSY: { status: 503, variant: 'AttestationError' },
  KBS_RATE_LIMITED: { status: 429, variant: 'AttestationError' },
  RESOURCE_URI_INVALID: { status: 400, variant: 'InvalidRequestPath' },
  RESOURCE_NOT_FOUND: {
    status: 404,
    variant: 'PluginInternalError',
    detail: 'Plugin internal error',
  },
  RESOURCE_VERSION_NOT_FOUND: { status: 404, variant: 'PluginInternalError' },
  RESOURCE_EXISTS: { status: 409, variant: 'PluginInternalError' },
  REFERENCE_NOT_FOUND: { status: 404, variant: 'RvpsError' },
  REFERENCE_INVALID: { status: 400, variant: 'RvpsError' },
  ROOT_NOT_FOUND: { status: 404, variant: 'AttestationError' },
  ROOT_KINDS_MIXED: { status: 409, variant: 'AttestationError' },
  ROOT_INVALID: { status: 400, variant: 'AttestationError' },
  DECISION_NOT_FOUND: { status: 404, variant: 'PluginInternalError' },
  POLICY_INVALID: { status: 400, variant: 'ParsePolicyError' },
}

/** A refusal as it goes out. */
export interface ProblemReply {
  readonly status: number
  readonly body: Problem
}

/**
 * The answer for a refusal or a failure. Peers get upstream's constant texts, the code and the
 * correlation id; `admin` callers also get our own message and details. What is not a known error
 * is a plain 500.
 */
export function toProblem(error: unknown, admin: boolean): ProblemReply {
  const code =
    error instanceof FormatError ? 'KBS_REQUEST_INVALID' : isCoded(error) ? error.code : ''
  const row = rowOf(code)
  if (row === undefined || !isCoded(error)) {
    const body = { type: `${TYPE}InternalError`, detail: 'Internal error', code: 'INTERNAL' }
    return { status: 500, body: { ...body, next: 'see the log of the broker', retryable: true } }
  }
  const table = codeRow(code)
  const details = admin && error.details !== undefined ? { details: error.details } : {}
  return {
    status: row.status,
    body: {
      type: TYPE + row.variant,
      detail: admin ? error.message : (row.detail ?? error.message),
      code,
      ...(error.correlationId === undefined ? {} : { correlationId: error.correlationId }),
      next: error.next ?? table?.next ?? '',
      retryable: error.retryable ?? table?.retryable ?? false,
      ...details,
    },
  }
}

function rowOf(code: string): Row | undefined {
  if (Object.hasOwn(ROWS, code)) return ROWS[code]
  if (code.startsWith('APPRAISE_')) {
    return { status: 403, variant: 'AttestationError', detail: ATTEST_FAILED }
  }
  if (code.startsWith('RELEASE_') || code === 'POLICY_ERROR') {
    return { status: 403, variant: 'PolicyDeny', detail: 'Access denied by policy' }
  }
  return undefined
}
