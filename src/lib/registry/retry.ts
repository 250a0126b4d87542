import { isCoded } from '#lib/errors'
import { type HttpResponse, header } from '#lib/http'

/** Randomness and waiting of retries, injected so that tests do not wait. */
export interface RetryClock {
  /** Resolves after `milliseconds`; rejects with the reason of `signal`. */
  readonly sleep: (milliseconds: number, signal?: AbortSignal) => Promise<void>
  /** From 0 to 1, as `Math.random`. */
  readonly random: () => number
  /** Milliseconds since 1970. */
  readonly now: () => number
}

/** Tries of one request, the first included. */
export const MAX_TRIES = 5
const BASE_DELAY = 1000
const MAX_DELAY = 60_000
const RETRY_STATUS = new Set([408, 429, 500, 502, 503, 504, 522])

/** True for answers after which the same request may succeed. */
export function isRetryStatus(status: number): boolean {
  return RETRY_STATUS.has(status)
}

/**
 * True if a request may be tried for the `attempt`th time after this failure. Certificates and
 * refused addresses do not get better. A host that cannot be reached is tried twice only: the
 * name is more often wrong than the host about to start.
 */
export function isRetryError(error: unknown, attempt: number): boolean {
  if (!isCoded(error)) return false
  if (error.code === 'NETWORK_UNREACHABLE') return attempt <= 2
  return error.code === 'NETWORK_TIMEOUT' || error.code === 'NETWORK_BROKEN'
}

/**
 * Milliseconds to wait before try `attempt` (2 = the first repeat): full jitter over a doubling
 * span, so that many clients do not come back at once. `Retry-After` (seconds or a date)
 * raises it. Never more than 60 s, whatever the server says.
 */
export function retryDelay(
  attempt: number,
  response: HttpResponse | undefined,
  clock: Pick<RetryClock, 'random' | 'now'>,
): number {
  const span = Math.min(MAX_DELAY, BASE_DELAY * 2 ** (attempt - 2))
  const jitter = clock.random() * span
  const wanted = response === undefined ? 0 : retryAfter(response, clock.now())
  return Math.min(MAX_DELAY, Math.max(wanted, jitter))
}

function retryAfter(response: HttpResponse, now: number): number {
  const value = header(response, 'retry-after') ?? ''
  if (/^\d{1,6}$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? 0 : Math.max(0, date - now)
}
