import { CodedError } from '#lib/errors'

// Of any letters, as docker takes them; the owner's policy names those that it grants.
const NAME = /^[^=\s\0]+$/

/** One variable that is asked for, and where, for messages: values, and what may be one, are not shown. */
export interface EnvWord {
  readonly text: string
  readonly from: string
}

/**
 * Parses variables as docker does: `K=V`, or `K` for this process's own value (left out if it has
 * none). The last of a name counts. Throws CodedError USAGE.
 */
export function parseEnv(
  words: readonly EnvWord[],
  own: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const env = new Map<string, string>()
  for (const { text, from } of words) {
    const at = text.indexOf('=')
    const name = at === -1 ? text : text.slice(0, at)
    if (!NAME.test(name)) throw new CodedError('USAGE', `${from}: not NAME or NAME=VALUE`)
    const content =
      at !== -1 ? text.slice(at + 1) : Object.hasOwn(own, name) ? own[name] : undefined
    if (content?.includes('\0')) throw new CodedError('USAGE', `${from}: a value with a zero byte`)
    if (content !== undefined) env.set(name, content)
  }
  return Object.fromEntries(env)
}

/**
 * The variables of an env file: `K=V` or `K` a line; blank lines and lines that begin with # are skipped.
 * Nothing is unquoted. Throws CodedError INPUT_UNREADABLE if it is not UTF-8.
 */
export function envFileWords(bytes: Uint8Array, file: string): readonly EnvWord[] {
  let text: string
  try {
    // drops a byte order mark
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new CodedError('INPUT_UNREADABLE', `reading ${file}: not UTF-8`, { cause })
  }
  return text
    .split(/\r?\n/)
    .map((line, i) => ({ text: line.trimStart(), from: `${file}, line ${i + 1}` }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'))
}

/** The variables of `-e`. */
export function envFlagWords(values: readonly string[]): readonly EnvWord[] {
  return values.map((text, i) => ({ text, from: `-e, number ${i + 1}` }))
}
