import { utf8 } from '#lib/bytes'
import { ErofsError } from './erofs-error.ts'
import { MAX_DEPTH, MAX_NAME, MAX_PATH } from './format.ts'

const SLASH = 0x2f
const DOT = 0x2e

/** Bytes, or text that is taken as UTF-8. */
export type PathLike = Uint8Array | string

/**
 * The names of a path, from the root: leading slashes, `.` and empty components go, so
 * `./a`, `/a`, `a/` and `a` are one. None for the root itself. Throws ErofsError: `..` or NUL
 * `EROFS_PATH`; too long or deep `EROFS_LIMIT`. Names are bytes, no Unicode rules apply.
 */
export function splitPath(path: PathLike): Uint8Array[] {
  const bytes = typeof path === 'string' ? utf8(path) : path
  if (bytes.length > MAX_PATH) throw limit(bytes, `has ${bytes.length} bytes, limit ${MAX_PATH}`)
  if (bytes.includes(0)) throw new ErofsError('EROFS_PATH', `path ${quote(bytes)} has a NUL`)
  const names: Uint8Array[] = []
  let start = 0
  while (start <= bytes.length) {
    let end = bytes.indexOf(SLASH, start)
    if (end < 0) end = bytes.length
    const length = end - start
    if (length > MAX_NAME) throw limit(bytes, `has a name of ${length} bytes, limit ${MAX_NAME}`)
    const dots = bytes[start] === DOT && (length === 1 || bytes[start + 1] === DOT) && length <= 2
    if (length === 2 && dots) {
      throw new ErofsError('EROFS_PATH', `path ${quote(bytes)} has a component ..`)
    }
    if (length > 0 && !dots) names.push(bytes.subarray(start, end))
    start = end + 1
  }
  if (names.length > MAX_DEPTH) throw limit(bytes, `has ${names.length} parts, limit ${MAX_DEPTH}`)
  return names
}

/** A path for a message: quoted, control bytes escaped, cut after 200 characters. */
export function quote(path: PathLike): string {
  const text = typeof path === 'string' ? path : new TextDecoder('latin1').decode(path)
  return JSON.stringify(text.length > 200 ? `${text.slice(0, 200)}…` : text)
}

function limit(path: Uint8Array, found: string): ErofsError {
  return new ErofsError('EROFS_LIMIT', `path ${quote(path)} ${found}`)
}
