import { constants } from 'node:os'
import { CodedError } from '#lib/errors'

// As glibc numbers them; the two below are the threads library's own.
const RTMIN = 34
const RTMAX = 64

/** The number of a signal: `KILL`, `SIGKILL`, `9`, `RTMIN+3`. Throws CodedError USAGE. */
export function signalNumber(text: string): number {
  const number = /^\d{1,2}$/.test(text) ? Number(text) : named(text.toUpperCase())
  if (number === undefined || number < 1 || number > RTMAX) {
    throw new CodedError('USAGE', `${text} is not a signal`)
  }
  return number
}

function named(text: string): number | undefined {
  const name = text.startsWith('SIG') ? text : `SIG${text}`
  const [, end, sign, count] = /^SIGRT(MIN|MAX)(?:([+-])(\d{1,2}))?$/.exec(name) ?? []
  if (end === undefined) {
    return Object.hasOwn(constants.signals, name)
      ? constants.signals[name as NodeJS.Signals]
      : undefined
  }
  const number = (end === 'MIN' ? RTMIN : RTMAX) + Number(`${sign ?? '+'}${count ?? 0}`)
  return number >= RTMIN ? number : undefined
}
