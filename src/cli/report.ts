import { printable } from '#lib/command'
import { CodedError, codeRow, isCoded } from '#lib/errors'

/** What the door says of a failure. */
export interface Report {
  readonly code: string
  readonly message: string
  readonly next: string
  readonly retryable: boolean
  readonly correlationId?: string
  readonly details?: Readonly<Record<string, unknown>>
}

const ERRNO: Readonly<Record<string, string>> = {
  ENOSPC: 'DISK_FULL',
  EDQUOT: 'DISK_FULL',
  ENOENT: 'INPUT_UNREADABLE',
  EACCES: 'INPUT_UNREADABLE',
  EISDIR: 'INPUT_UNREADABLE',
  ENOTDIR: 'INPUT_UNREADABLE',
  EEXIST: 'OUTPUT_EXISTS',
}

/** Turns anything thrown into the one report that is printed. */
export function toReport(error: unknown): Report {
  if (isCoded(error)) {
    const row = codeRow(error.code)
    return {
      code: error.code,
      message: error.message,
      next: error.next ?? row?.next ?? 'see docs/errors.md',
      retryable: error.retryable ?? row?.retryable ?? false,
      ...(error.correlationId === undefined ? {} : { correlationId: error.correlationId }),
      ...(error.details === undefined ? {} : { details: error.details }),
    }
  }
  const errno = (error as NodeJS.ErrnoException | undefined)?.code ?? ''
  const code = ERRNO[errno] ?? 'INTERNAL'
  const message = error instanceof Error ? error.message : String(error)
  return toReport(new CodedError(code, message, { cause: error }))
}

/**
 * Exit code of a failure: the error's own `exitCode` if it has one, 130 or 143 when interrupted, 2 for
 * usage and unreadable input, else 1.
 */
export function toExit(error: unknown, signal: NodeJS.Signals | undefined): number {
  const { exitCode } = (error ?? {}) as { exitCode?: unknown }
  if (typeof exitCode === 'number') return exitCode
  if (signal !== undefined) return signal === 'SIGTERM' ? 143 : 130
  const { code } = toReport(error)
  return code === 'USAGE' || code === 'INPUT_UNREADABLE' ? 2 : 1
}

/** The lines of stderr for a failure. */
export function reportLines(report: Report, json: boolean): string {
  if (json) return `${JSON.stringify({ error: report })}\n`
  const id = report.correlationId === undefined ? '' : ` (id ${report.correlationId})`
  const sentence = printable(`${report.message}${id} [${report.code}]`)
  return `error: ${sentence}\nnext: ${printable(report.next)}\n`
}
