import { CodedError } from '#lib/errors'
import { signalNumber as numberOf } from '#lib/launch'

/** The number of a signal: `KILL`, `SIGKILL`, `9`, `RTMIN+3`. Throws CodedError USAGE. */
export function signalNumber(text: string): number {
  const number = numberOf(text)
  if (number === undefined) throw new CodedError('USAGE', `${text} is not a signal`)
  return number
}
