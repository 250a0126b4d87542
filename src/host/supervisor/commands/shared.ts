import type { CommandContext, OptionSpec } from '#lib/command'
import { CodedError } from '#lib/errors'
import { exitCodeOf } from '../failure.ts'
import type { FailureReport } from '../job.ts'

/** Flags of every command that starts enclaves. */
export const ENCLAVE_OPTIONS: readonly OptionSpec[] = [
  { flags: '--tee <name>', help: 'sim (simulated platform, the only one so far)' },
  { flags: '--bundle <dir>', help: 'enclave bundle (default ROOT/bundles/default)' },
  { flags: '--init-data <file>', help: 'which broker and namespace the enclave belongs to' },
  { flags: '--explain', help: 'show causes of refusals (simulated platform only)' },
]

/** The line that says what the simulated platform is; `--quiet` does not hide it. */
export function banner(context: CommandContext): void {
  context.warn('simulated platform: the operator of this machine can read memory')
}

/** Refuses a platform that is not there. */
export function checkTee(name: string | undefined): void {
  if (name === undefined || name === 'sim') return
  if (name === 'gramine') {
    throw new CodedError('FEATURE_NOT_BUILT', '--tee gramine is not built yet')
  }
  throw new CodedError('USAGE', `--tee ${name} is not a platform: sim or gramine`)
}

/** The error of a supervisor's failure report. */
export function errorOf(report: FailureReport): CodedError {
  const { code, message, ...options } = report
  return new CodedError(code, message, options)
}

/**
 * An error of `run` with the exit code that docker users expect: 127 and 126 where the image's program
 * is to blame, else 125. Bad usage and interrupts keep the codes of every command.
 */
export function withRunCode(error: unknown, signal: AbortSignal): unknown {
  if (!(error instanceof Error)) return error
  const { code, exitCode } = error as { code?: unknown; exitCode?: unknown }
  if (code === 'USAGE' || typeof exitCode === 'number') return error
  if (signal.aborted && code === 'INTERRUPTED') return error
  return Object.assign(error, { exitCode: exitCodeOf(error) })
}
