/** One challenge of a `WWW-Authenticate` header (RFC 9110 11.6.1). */
export interface Challenge {
  /** In lower case: `bearer`, `basic`. */
  readonly scheme: string
  /** Names in lower case. */
  readonly parameters: ReadonlyMap<string, string>
}

const SPACE = /[ \t,]*/y
const TOKEN = /[!#$%&'*+.^_`|~0-9A-Za-z-]+/y
const PARAMETER = /([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*=[ \t]*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y
const MAX_LENGTH = 8192

/**
 * Parses `WWW-Authenticate` values: several headers, several challenges in one, quoted values
 * with commas. What cannot be understood ends the parse of that header; it never throws.
 */
export function parseChallenges(values: readonly string[]): Challenge[] {
  return values.flatMap((value) => (value.length > MAX_LENGTH ? [] : parseOne(value)))
}

function parseOne(text: string): Challenge[] {
  const challenges: Challenge[] = []
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | null => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (match !== null) at += match[0].length
    return match
  }
  for (;;) {
    take(SPACE)
    const parameter = take(PARAMETER)
    if (parameter !== null) {
      const [, name = '', quoted, plain = ''] = parameter
      const value = quoted === undefined ? plain : quoted.replace(/\\(.)/g, '$1')
      const current = challenges.at(-1)?.parameters as Map<string, string> | undefined
      if (current === undefined) return challenges
      if (!current.has(name.toLowerCase())) current.set(name.toLowerCase(), value)
      continue
    }
    const scheme = take(TOKEN)
    if (scheme === null) return challenges
    challenges.push({ scheme: scheme[0].toLowerCase(), parameters: new Map() })
  }
}
