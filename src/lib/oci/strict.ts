import { FormatError } from '#lib/bytes'
import type { OciCode } from '#lib/errors'
import { type JsonObject, object } from '#lib/json'
import { OciError } from './oci-error.ts'

/**
 * The value as an object whose members are not near-copies of `known` ones. Go's JSON
 * decoders match names without regard to case, so `{"Digest": …}` would be a digest to
 * them and unknown to us: two readers, two images. Unknown other members are legal.
 */
export function openObject(
  value: unknown,
  name: string,
  known: ReadonlyMap<string, string>,
): JsonObject {
  const found = object(value, name)
  for (const member of Object.keys(found)) {
    const exact = known.get(fold(member))
    if (exact !== undefined && exact !== member) {
      throw new FormatError('FORMAT_INVALID', name, 0, `spells its member ${exact} in another case`)
    }
  }
  return found
}

/** Known member names by their folded form, for `openObject`. */
export function members(...names: readonly string[]): ReadonlyMap<string, string> {
  return new Map(names.map((name) => [fold(name), name]))
}

/** Runs a parser; what it finds wrong with the format becomes one `OciError`. */
export function parsing<T>(code: OciCode, what: string, parse: () => T): T {
  try {
    return parse()
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new OciError(code, `${what} is refused: ${cause.message}`, { cause })
  }
}

/** Adds members that are defined only, as `exactOptionalPropertyTypes` wants it. */
export function defined<T extends object>(
  members: T,
): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>
  }
}

// Upper case first: it maps U+017F to S, and lower case then maps U+212A to k, as Go folds them.
function fold(name: string): string {
  return name.toUpperCase().toLowerCase()
}
