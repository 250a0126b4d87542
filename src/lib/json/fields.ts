import { FormatError, fromBase64, fromBase64Url, fromHex } from '#lib/bytes'
import type { JsonObject, JsonValue } from './value.ts'

// Typed readers for `unknown`. `name` is the path of the field as the reader of an error should
// see it ("manifest.image.size"). Each throws FormatError FORMAT_INVALID, or FORMAT_LIMIT.

/** The value as an object; with `members`, one that has no others (unknown ones are refused). */
export function object(value: unknown, name: string, members?: readonly string[]): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw invalid(name, value, 'an object')
  }
  if (members !== undefined) {
    const unknown = Object.keys(value).find((member) => !members.includes(member))
    if (unknown !== undefined) {
      const shown = /^[\w.-]{1,64}$/.test(unknown) ? `member ${unknown}` : 'a member'
      throw new FormatError('FORMAT_INVALID', name, 0, `has ${shown} that is not known`)
    }
  }
  return value as JsonObject
}

/** The value as an array of at most `max` elements (default 65536). */
export function array(value: unknown, name: string, max = 65_536): JsonValue[] {
  if (!Array.isArray(value)) throw invalid(name, value, 'an array')
  if (value.length > max) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `has ${value.length} elements, ${max} at most`)
  }
  return value as JsonValue[]
}

/** What `string` allows beyond being a string. */
export interface StringLimits {
  /** Length in UTF-16 units; default 1 MiB. */
  readonly max?: number
  readonly pattern?: RegExp
}

/** The value as a string. */
export function string(value: unknown, name: string, limits: StringLimits = {}): string {
  if (typeof value !== 'string') throw invalid(name, value, 'a string')
  const max = limits.max ?? 1_048_576
  if (value.length > max) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `has ${value.length} characters, ${max} at most`)
  }
  if (limits.pattern !== undefined && !limits.pattern.test(value)) {
    throw new FormatError('FORMAT_INVALID', name, 0, `does not match ${limits.pattern.source}`)
  }
  return value
}

/** The value as one of the given strings. */
export function oneOf<const T extends string>(
  value: unknown,
  name: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === value)
  if (found === undefined) throw invalid(name, value, `one of ${choices.join(', ')}`)
  return found
}

/** The value as a safe integer from `min` (default 0) to `max` (default 2^53 - 1). */
export function integer(
  value: unknown,
  name: string,
  min = 0,
  max: number = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) {
    throw invalid(name, value, 'an integer')
  }
  if (value < min || value > max) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `is ${value}, allowed is ${min} to ${max}`)
  }
  return value
}

/** The value as a boolean. */
export function boolean(value: unknown, name: string): boolean {
  if (typeof value !== 'boolean') throw invalid(name, value, 'true or false')
  return value
}

/** The value as an array of strings. */
export function strings(
  value: unknown,
  name: string,
  limits: StringLimits & { readonly maxItems?: number } = {},
): string[] {
  return array(value, name, limits.maxItems).map((item, i) => string(item, `${name}[${i}]`, limits))
}

/** The value as a string-to-string map; a fresh object without prototype. */
export function stringMap(
  value: unknown,
  name: string,
  limits: StringLimits & { readonly maxItems?: number } = {},
): Record<string, string> {
  const entries = Object.entries(object(value, name))
  const maxItems = limits.maxItems ?? 65_536
  if (entries.length > maxItems) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `has over ${maxItems} members`)
  }
  const map: Record<string, string> = Object.create(null)
  for (const [member, item] of entries) map[member] = string(item, `${name}.${member}`, limits)
  return map
}

/** The value as bytes in padded standard base64; with `length`, of exactly so many bytes. */
export function base64(value: unknown, name: string, length?: number): Uint8Array<ArrayBuffer> {
  return fromBase64(string(value, name, { max: 64 * 1024 * 1024 }), name, length)
}

/** The value as bytes in unpadded URL base64; with `length`, of exactly so many bytes. */
export function base64Url(value: unknown, name: string, length?: number): Uint8Array<ArrayBuffer> {
  return fromBase64Url(string(value, name, { max: 64 * 1024 * 1024 }), name, length)
}

/** The value as bytes in hexadecimal; with `length`, of exactly so many bytes. */
export function hex(value: unknown, name: string, length?: number): Uint8Array<ArrayBuffer> {
  return fromHex(string(value, name), name, length)
}

/** Absent stays absent; `null` counts as absent only where the format says so (`nullable`). */
export function optional<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  return value === undefined ? undefined : parse(value)
}

/** As `optional`, but `null` is absent too. */
export function nullable<T>(value: unknown, parse: (value: unknown) => T): T | undefined {
  return value === undefined || value === null ? undefined : parse(value)
}

// Names the kind of what was found, not the value: it may be a secret in the wrong place.
function invalid(name: string, value: unknown, expected: string): FormatError {
  const found = value === undefined ? 'is missing' : `is ${kind(value)}`
  return new FormatError('FORMAT_INVALID', name, 0, `${found}; ${expected} is needed`)
}

function kind(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'an array'
  return typeof value === 'object' ? 'an object' : `another ${typeof value}`
}
