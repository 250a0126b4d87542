import { FormatError, fromUtf8 } from '#lib/bytes'
import type { JsonObject, JsonValue } from './value.ts'

/** Limits of `parseJson`, checked before anything is allocated for the value. */
export interface ParseJsonOptions {
  /** Nesting of arrays and objects; default 32. */
  readonly maxDepth?: number
  /** Size of the text in bytes (of a string: in UTF-16 units); default 4 MiB. */
  readonly maxBytes?: number
  /** What is read, for error messages; default "JSON". */
  readonly name?: string
}

const MAX_DEPTH = 32
const MAX_BYTES = 4 * 1024 * 1024
const NUMBER = /-?(?:0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?/y
const SPACE = /[ \t\n\r]*/y
// A run of characters that need no attention: no quote, backslash, control or surrogate.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it excludes
const PLAIN = /[^"\\\u0000-\u001f\ud800-\udfff]*/y
const ESCAPES: Readonly<Record<string, string>> = {
  '"': '"',
  '\\': '\\',
  '/': '/',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
}

/**
 * Parses one JSON text (RFC 8259) strictly, as I-JSON (RFC 7493): a member name twice in one
 * object, a lone surrogate, an integer that a double cannot hold, a byte order mark, bytes
 * that are not UTF-8 and anything after the value are refused. So is the name `__proto__`,
 * since a later copy of the object would read it as a prototype.
 *
 * Two readers that disagree about a duplicate member can be made to see two documents under
 * one signature; that is why `JSON.parse` is not enough where a digest or signature is checked.
 *
 * Throws FormatError: FORMAT_INVALID, FORMAT_LIMIT, FORMAT_TRUNCATED, FORMAT_TRAILING.
 */
export function parseJson(input: Uint8Array | string, options: ParseJsonOptions = {}): JsonValue {
  const name = options.name ?? 'JSON'
  const maxBytes = options.maxBytes ?? MAX_BYTES
  if (input.length > maxBytes) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `has more than ${maxBytes} bytes`)
  }
  const text = typeof input === 'string' ? input : fromUtf8(input, name)
  return new Parser(text, name, options.maxDepth ?? MAX_DEPTH).document()
}

class Parser {
  readonly #text: string
  readonly #name: string
  readonly #maxDepth: number
  #at = 0

  constructor(text: string, name: string, maxDepth: number) {
    this.#text = text
    this.#name = name
    this.#maxDepth = maxDepth
  }

  document(): JsonValue {
    const value = this.#value(0)
    this.#space()
    if (this.#at < this.#text.length) {
      throw new FormatError('FORMAT_TRAILING', this.#name, this.#at, 'text follows the value')
    }
    return value
  }

  #value(depth: number): JsonValue {
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(this.#deeper(depth))
      case '[':
        return this.#array(this.#deeper(depth))
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #deeper(depth: number): number {
    if (depth >= this.#maxDepth) {
      const found = `is nested more than ${this.#maxDepth} deep`
      throw new FormatError('FORMAT_LIMIT', this.#name, this.#at, found)
    }
    this.#at++
    return depth + 1
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = {}
    this.#space()
    if (this.#take('}')) return object
    do {
      this.#space()
      if (this.#text[this.#at] !== '"') throw this.#unexpected('a member name')
      const at = this.#at
      const member = this.#string()
      if (member === '__proto__' || Object.hasOwn(object, member)) {
        const found = member === '__proto__' ? 'may not have __proto__' : 'has one member twice'
        throw new FormatError('FORMAT_INVALID', this.#name, at, found)
      }
      this.#space()
      if (!this.#take(':')) throw this.#unexpected('":"')
      object[member] = this.#value(depth)
      this.#space()
    } while (this.#take(','))
    if (!this.#take('}')) throw this.#unexpected('"," or "}"')
    return object
  }

  #array(depth: number): JsonValue[] {
    const array: JsonValue[] = []
    this.#space()
    if (this.#take(']')) return array
    do {
      array.push(this.#value(depth))
      this.#space()
    } while (this.#take(','))
    if (!this.#take(']')) throw this.#unexpected('"," or "]"')
    return array
  }

  #string(): string {
    this.#at++
    let out = ''
    for (;;) {
      out += this.#match(PLAIN)
      const unit = this.#text[this.#at]
      if (unit === '"') {
        this.#at++
        return out
      }
      if (unit === '\\') out += this.#escape()
      else if (unit !== undefined && unit >= '\ud800')
        out += this.#pair(unit, this.#text[this.#at + 1], 2)
      else throw this.#unexpected('a character of a string')
    }
  }

  #escape(): string {
    const letter = this.#text[this.#at + 1] ?? ''
    const simple = Object.hasOwn(ESCAPES, letter) ? ESCAPES[letter] : undefined
    if (simple !== undefined) {
      this.#at += 2
      return simple
    }
    const unit = this.#unitEscape(this.#at)
    if (unit === undefined) throw this.#unexpected('an escape sequence')
    if (unit < '\ud800' || unit > '\udfff') {
      this.#at += 6
      return unit
    }
    return this.#pair(unit, this.#unitEscape(this.#at + 6), 12)
  }

  #unitEscape(at: number): string | undefined {
    const found = this.#text.slice(at, at + 6)
    return /^\\u[0-9a-fA-F]{4}$/.test(found)
      ? String.fromCharCode(Number.parseInt(found.slice(2), 16))
      : undefined
  }

  #pair(high: string, low: string | undefined, length: number): string {
    if (high > '\udbff' || low === undefined || low < '\udc00' || low > '\udfff') {
      throw new FormatError('FORMAT_INVALID', this.#name, this.#at, 'has half a surrogate pair')
    }
    this.#at += length
    return high + low
  }

  #number(): number {
    const start = this.#at
    const literal = this.#match(NUMBER)
    if (literal === '') throw this.#unexpected('a value')
    const value = Number(literal)
    const whole = !/[.eE]/.test(literal)
    if (!Number.isFinite(value) || (whole && !Number.isSafeInteger(value))) {
      throw new FormatError('FORMAT_INVALID', this.#name, start, 'has a number out of range')
    }
    return value
  }

  #word<T extends JsonValue>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) throw this.#unexpected('a value')
    this.#at += word.length
    return value
  }

  #space(): void {
    this.#match(SPACE)
  }

  #take(unit: string): boolean {
    if (this.#text[this.#at] !== unit) return false
    this.#at++
    return true
  }

  #match(pattern: RegExp): string {
    pattern.lastIndex = this.#at
    const found = pattern.exec(this.#text)?.[0] ?? ''
    this.#at += found.length
    return found
  }

  // Never quotes the text: what is parsed here may hold a key or a token.
  #unexpected(expected: string): FormatError {
    return this.#at >= this.#text.length
      ? new FormatError(
          'FORMAT_TRUNCATED',
          this.#name,
          this.#at,
          `ends where ${expected} is needed`,
        )
      : new FormatError('FORMAT_INVALID', this.#name, this.#at, `${expected} is needed here`)
  }
}
