import { constants } from 'node:os'
import { CodedError } from '#lib/errors'

/** The number of a signal: `KILL`, `SIGKILL` or `9`. Throws CodedError USAGE. */
export function signalNumber(text: string): number {
  if (/^\d{1,2}$/.test(text) && Number(text) >= 1 && Number(text) <= 64) return Number(text)
  const name = text.toUpperCase().startsWith('SIG')
    ? text.toUpperCase()
    : `SIG${text.toUpperCase()}`
  const found = (constants.signals as Readonly<Record<string, number>>)[name]
  if (found === undefined) throw new CodedError('USAGE', `${text} is not a signal`)
  return found
}
