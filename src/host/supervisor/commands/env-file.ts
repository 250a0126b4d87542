import { CodedError } from '#lib/errors'

const NAME = /^[^=\s\0]+$/

/**
 * Parses `-e` values as docker does: `K=V`, or `K` for this process's own value (left out if it has
 * none). Throws CodedError USAGE.
 */
export function parseEnv(
  values: readonly string[],
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const env: Record<string, string> = {}
  for (const value of values) {
    const at = value.indexOf('=')
    const name = at === -1 ? value : value.slice(0, at)
    if (!NAME.test(name)) throw new CodedError('USAGE', `-e ${name}: not a variable name`)
    const content = at === -1 ? own[name] : value.slice(at + 1)
    if (content !== undefined) env[name] = content
  }
  return env
}

/** The lines of an env file: `K=V` or `K`; blank lines and lines that begin with # are skipped. */
export function envFileLines(text: string): readonly string[] {
  return text
    .split(/\r?\n/)
    .map((line) => line.trimStart())
    .filter((line) => line !== '' && !line.startsWith('#'))
}
