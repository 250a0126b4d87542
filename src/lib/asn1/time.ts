import { FormatError } from '#lib/bytes'

const UTC_TIME = /^(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/
const GENERALIZED_TIME = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)Z$/

/**
 * Decodes UTCTime (RFC 5280: years 1950..2049) or GeneralizedTime, both to the second
 * and in UTC, to milliseconds since 1970. Impossible dates are refused.
 */
export function decodeTime(
  content: Uint8Array,
  form: 'utc' | 'generalized',
  field: string,
  offset = 0,
): number {
  const text = String.fromCharCode(...content.subarray(0, 16))
  const match = (form === 'utc' ? UTC_TIME : GENERALIZED_TIME).exec(text)
  if (match === null || text.length !== content.length) {
    throw new FormatError('FORMAT_INVALID', field, offset, 'is not a time in UTC to the second')
  }
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1)
    .map(Number)
  const fullYear = form === 'generalized' ? year : year < 50 ? 2000 + year : 1900 + year
  const time = new Date(0)
  time.setUTCFullYear(fullYear, month - 1, day)
  time.setUTCHours(hour, minute, second)
  // Date carries over (February 30th, 24:60): what comes back differs then.
  const iso = [fullYear, month, day, hour, minute, second].map((n) => String(n).padStart(2, '0'))
  const [y = '', mo, d, h, mi, s] = iso
  if (time.toISOString() !== `${y.padStart(4, '0')}-${mo}-${d}T${h}:${mi}:${s}.000Z`) {
    throw new FormatError('FORMAT_INVALID', field, offset, 'is not a date of the calendar')
  }
  return time.getTime()
}
