import { CodedError } from '#lib/errors'

const SECONDS: Readonly<Record<string, number>> = { s: 1, m: 60, h: 3600, d: 86_400 }

/** `--tail`: a number of lines; undefined for all. Throws CodedError USAGE. */
export function tailCount(text: string | undefined): number | undefined {
  if (text === undefined || text === 'all') return undefined
  if (!/^\d{1,9}$/.test(text)) throw new CodedError('USAGE', `--tail ${text}: a number of lines`)
  return Number(text)
}

/** `--since`: milliseconds since 1970, from RFC 3339 or a span before `now`. Throws CodedError USAGE. */
export function sinceTime(text: string | undefined, now: number): number {
  if (text === undefined) return Number.NEGATIVE_INFINITY
  if (/^(\d{1,9}[smhd])+$/.test(text)) {
    let span = 0
    for (const [, count, unit] of text.matchAll(/(\d+)([smhd])/g)) {
      span += Number(count) * (SECONDS[unit ?? ''] ?? 0)
    }
    return now - span * 1000
  }
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time)) throw new CodedError('USAGE', `--since ${text}: not a time`)
  return time
}
