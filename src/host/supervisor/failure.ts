import { isCoded } from '#lib/errors'
import type { FailureReport } from './job.ts'

const MAX_MESSAGE = 4000
const START_FAILED = 125

/** The report of anything thrown. */
export function failureOf(error: unknown): FailureReport {
  if (isCoded(error)) {
    const { code, next, retryable, correlationId, details } = error
    const message = error.message.slice(0, MAX_MESSAGE)
    if (code === 'TTRPC_CLOSED') {
      const found = 'an enclave of the container ended before its program was started'
      return { code: 'ENCLAVE_LOST', message: found }
    }
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

/**
 * What `run` exits with where its container did not start, as docker: 127 if the program does not exist,
 * 126 if it cannot be executed, else 125.
 */
export function exitCodeOf(error: unknown): number {
  const { exitCode } = ((error as { details?: unknown } | null)?.details ?? {}) as {
    exitCode?: unknown
  }
  return exitCode === 126 || exitCode === 127 ? exitCode : START_FAILED
}
