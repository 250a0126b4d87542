import { isCoded } from '#lib/errors'
import type { FailureReport } from './job.ts'

/** The report of anything thrown. */
export function failureOf(error: unknown): FailureReport {
  if (isCoded(error)) {
    const { code, message, next, retryable, correlationId, details } = error
    return {
      code,
      message,
      ...(next === undefined ? {} : { next }),
      ...(retryable === undefined ? {} : { retryable }),
      ...(correlationId === undefined ? {} : { correlationId }),
      ...(details === undefined ? {} : { details }),
    }
  }
  const { code, message } = error as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return { code: 'DISK_FULL', message }
  return { code: 'INTERNAL', message: message ?? String(error) }
}
