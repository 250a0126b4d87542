import { fromUtf8 } from '#lib/bytes'
import { object, parseJson, string } from '#lib/json'
import { InitError } from './init-error.ts'

/** Exit code of a container whose program does not exist, as shells and Docker have it. */
export const EXIT_NOT_FOUND = 127
/** Exit code of a container whose program cannot be executed. */
export const EXIT_NOT_EXECUTABLE = 126
/** Exit code of a container that could not be started. */
export const EXIT_START_FAILED = 125

const MAX_LINE = 65_536

/**
 * Turns runc's log (`--log-format json`) of a failed `run` into an error. Which of the
 * three it is decides the exit code that people expect; it stands in `details.exitCode`.
 */
export function runcError(log: Uint8Array): InitError {
  const message = lastError(log)
  const notFound = /executable file not found|exec: "[^"]*": stat .*no such file/.test(message)
  const missing = notFound || /exec: .*: no such file or directory/.test(message)
  if (missing) {
    return failed('CONTAINER_COMMAND_NOT_FOUND', 'the program does not exist', EXIT_NOT_FOUND)
  }
  if (/exec: .*(permission denied|is a directory|exec format error)/.test(message)) {
    return failed(
      'CONTAINER_COMMAND_NOT_EXECUTABLE',
      'the program cannot be executed',
      EXIT_NOT_EXECUTABLE,
    )
  }
  return failed(
    'CONTAINER_START_FAILED',
    message === '' ? 'the runtime gave no reason' : message,
    EXIT_START_FAILED,
  )
}

function failed(
  code:
    | 'CONTAINER_COMMAND_NOT_FOUND'
    | 'CONTAINER_COMMAND_NOT_EXECUTABLE'
    | 'CONTAINER_START_FAILED',
  found: string,
  exitCode: number,
): InitError {
  return new InitError(code, `starting the container: ${found}`, { details: { exitCode } })
}

function lastError(log: Uint8Array): string {
  let last = ''
  for (const line of text(log).split('\n')) {
    if (line.trim() === '') continue
    try {
      const entry = object(parseJson(line, { maxBytes: MAX_LINE, name: 'runc log' }), 'runc log')
      if (entry.level === 'error') last = string(entry.msg, 'runc log.msg')
    } catch {
      // A line that is none of runc's; the next one may be.
    }
  }
  return last
}

function text(log: Uint8Array): string {
  try {
    return fromUtf8(log, 'runc log')
  } catch {
    return ''
  }
}
