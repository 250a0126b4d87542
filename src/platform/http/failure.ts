import { HttpError } from '#lib/http'

const UNREACHABLE = new Set([
  'ENOTFOUND',
  'EAI_AGAIN',
  'EAI_FAIL',
  'ECONNREFUSED',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'EADDRNOTAVAIL',
  'ENOENT',
])
const UNTRUSTED =
  /CERT|SELF_SIGNED|UNABLE_TO|ISSUER|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH|ALTNAME/
const TLS = /^(?:ERR_SSL|ERR_TLS|EPROTO)/

/**
 * The `HttpError` for what node reports. `attempt` names host and port only: paths and
 * queries may hold signatures.
 */
export function toHttpError(error: unknown, attempt: string): HttpError {
  if (error instanceof HttpError) return error
  const found = innermost(error)
  const code = String((found as { code?: unknown }).code ?? '')
  const text = code === '' ? (found instanceof Error ? found.message : 'no reason given') : code
  const options = { cause: error }
  if (code === 'ETIMEDOUT') {
    return new HttpError('NETWORK_TIMEOUT', `${attempt}: no connection in time`, options)
  }
  if (UNREACHABLE.has(code))
    return new HttpError('NETWORK_UNREACHABLE', `${attempt}: ${text}`, options)
  if (UNTRUSTED.test(code)) return new HttpError('TLS_UNTRUSTED', `${attempt}: ${text}`, options)
  if (TLS.test(code)) return new HttpError('TLS_FAILED', `${attempt}: ${text}`, options)
  return new HttpError('NETWORK_BROKEN', `${attempt}: ${text}`, options)
}

// Connecting to several addresses fails with one error for all of them.
function innermost(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error
}
