import { FormatError, fromUtf8 } from '#lib/bytes'
import { decodeOid } from './oid.ts'
import { explicitTag, TAG } from './tag.ts'
import { decodeTime } from './time.ts'

/** Nesting of constructed values; certificates need 8. */
const MAX_DEPTH = 16

/** One value with its identifier, content and complete encoding, as views of the input. */
export interface DerValue {
  readonly tag: number
  readonly content: Uint8Array
  /** Identifier, length and content: what signatures over a part cover. */
  readonly raw: Uint8Array
}

/**
 * A cursor over DER (X.690), strict: single-byte tags, definite and minimal lengths of at
 * most four octets, canonical BOOLEAN, INTEGER and OBJECT IDENTIFIER, limited depth. Each
 * read names its field; everything else is a FormatError. BER is not accepted.
 */
export class DerReader {
  readonly #bytes: Uint8Array
  readonly #base: number
  readonly #depth: number
  #at = 0

  /** Reads `bytes`; `base` is added to offsets in errors. */
  constructor(bytes: Uint8Array, base = 0, depth = 0) {
    this.#bytes = bytes
    this.#base = base
    this.#depth = depth
  }

  /** Offset of the next value. */
  get offset(): number {
    return this.#base + this.#at
  }

  /** True where no value is left. */
  get done(): boolean {
    return this.#at === this.#bytes.length
  }

  /** Tag of the next value, undefined at the end. */
  peek(): number | undefined {
    return this.#bytes[this.#at]
  }

  /** The next value, whatever its type. */
  value(field: string): DerValue {
    const start = this.#at
    const tag = this.#octet(field)
    // 0x1f announces a tag of several bytes; tag 0 is BER's end-of-contents.
    if ((tag & 0x1f) === 0x1f || tag === 0) throw this.#invalid(field, start, 'has an unusable tag')
    const length = this.#length(field)
    if (length > this.#bytes.length - this.#at) {
      const left = this.#bytes.length - this.#at
      const found = `needs ${length} bytes, ${left} are left`
      throw new FormatError('FORMAT_TRUNCATED', field, this.#base + start, found)
    }
    const content = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return { tag, content, raw: this.#bytes.subarray(start, this.#at) }
  }

  /** The next value, which must have `tag`. */
  expect(tag: number, field: string): DerValue {
    const found = this.peek()
    if (found !== tag) {
      const has = found === undefined ? 'nothing' : hex(found)
      throw this.#invalid(field, this.#at, `has tag ${has}, ${hex(tag)} is needed`)
    }
    return this.value(field)
  }

  /** Enters the next value, which must be constructed with `tag`. */
  enter(tag: number, field: string): DerReader {
    if (this.#depth + 1 > MAX_DEPTH) {
      const found = `is nested more than ${MAX_DEPTH} deep`
      throw new FormatError('FORMAT_LIMIT', field, this.offset, found)
    }
    const { content } = this.expect(tag, field)
    return new DerReader(content, this.offset - content.length, this.#depth + 1)
  }

  sequence(field: string): DerReader {
    return this.enter(TAG.SEQUENCE, field)
  }

  set(field: string): DerReader {
    return this.enter(TAG.SET, field)
  }

  /** Enters `[number]` EXPLICIT if it comes next. */
  optionalExplicit(number: number, field: string): DerReader | undefined {
    const tag = explicitTag(number)
    return this.peek() === tag ? this.enter(tag, field) : undefined
  }

  /** Dotted form. */
  oid(field: string): string {
    const at = this.offset
    return decodeOid(this.expect(TAG.OID, field).content, field, at)
  }

  octets(field: string): Uint8Array {
    return this.expect(TAG.OCTET_STRING, field).content
  }

  /** A BIT STRING of whole octets. */
  bitOctets(field: string): Uint8Array {
    const { bits, unused } = this.bits(field)
    if (unused !== 0) throw this.#invalid(field, this.#at, 'does not end on an octet')
    return bits
  }

  /** A BIT STRING with its count of unused bits, which must be zero bits. */
  bits(field: string): { readonly bits: Uint8Array; readonly unused: number } {
    const { content } = this.expect(TAG.BIT_STRING, field)
    const unused = content[0]
    const bits = content.subarray(1)
    const last = bits.at(-1)
    if (unused === undefined || unused > 7 || (last === undefined && unused !== 0)) {
      throw this.#invalid(field, this.#at, 'is not a bit string')
    }
    if (last !== undefined && (last & ((1 << unused) - 1)) !== 0) {
      throw this.#invalid(field, this.#at, 'has unused bits that are not zero')
    }
    return { bits, unused }
  }

  boolean(field: string): boolean {
    const { content } = this.expect(TAG.BOOLEAN, field)
    const octet = content[0]
    if (content.length !== 1 || (octet !== 0 && octet !== 0xff)) {
      throw this.#invalid(field, this.#at, 'is not a DER boolean')
    }
    return octet === 0xff
  }

  /** A non-negative INTEGER of at most `max`. */
  integer(field: string, max: number): number {
    return this.#small(this.unsigned(field), field, max)
  }

  /** An ENUMERATED of at most `max`. */
  enumerated(field: string, max: number): number {
    return this.#small(this.#magnitude(TAG.ENUMERATED, field), field, max)
  }

  /** A non-negative INTEGER as big-endian octets without leading zeros; zero is one 0 octet. */
  unsigned(field: string): Uint8Array {
    return this.#magnitude(TAG.INTEGER, field)
  }

  /** UTCTime or GeneralizedTime, in milliseconds since 1970. */
  time(field: string): number {
    const at = this.offset
    const { tag, content } = this.value(field)
    if (tag !== TAG.UTC_TIME && tag !== TAG.GENERALIZED_TIME) {
      throw new FormatError('FORMAT_INVALID', field, at, `has tag ${hex(tag)}, not a time`)
    }
    return decodeTime(content, tag === TAG.UTC_TIME ? 'utc' : 'generalized', field, at)
  }

  /** UTF8String or PrintableString; undefined for a string of another type. */
  text(field: string): string | undefined {
    const { tag, content } = this.value(field)
    return tag === TAG.UTF8_STRING || tag === TAG.PRINTABLE_STRING
      ? fromUtf8(content, field)
      : undefined
  }

  /** Values that follow are an error. */
  end(what: string): void {
    if (!this.done) {
      const left = this.#bytes.length - this.#at
      throw new FormatError('FORMAT_TRAILING', what, this.offset, `${left} bytes follow its end`)
    }
  }

  #magnitude(tag: number, field: string): Uint8Array {
    const at = this.#at
    const { content } = this.expect(tag, field)
    const [first, second] = content
    if (first === undefined) throw this.#invalid(field, at, 'is an empty number')
    if (first >= 0x80) throw this.#invalid(field, at, 'is a negative number')
    if (first !== 0 || second === undefined) return content
    if (second < 0x80) throw this.#invalid(field, at, 'is a number with leading zeros')
    return content.subarray(1)
  }

  #small(octets: Uint8Array, field: string, max: number): number {
    const value =
      octets.length <= 6 ? octets.reduce((sum, octet) => sum * 256 + octet, 0) : Infinity
    if (value > max) {
      throw new FormatError('FORMAT_LIMIT', field, this.offset, `is above the limit of ${max}`)
    }
    return value
  }

  #octet(field: string): number {
    const octet = this.#bytes[this.#at]
    if (octet === undefined) {
      throw new FormatError('FORMAT_TRUNCATED', field, this.offset, 'needs a byte, none is left')
    }
    this.#at++
    return octet
  }

  #length(field: string): number {
    const at = this.#at
    const first = this.#octet(field)
    if (first < 0x80) return first
    const count = first & 0x7f
    if (count === 0) throw this.#invalid(field, at, 'has an indefinite length')
    if (count > 4) throw this.#invalid(field, at, 'has a length of more than four octets')
    let length = 0
    for (let i = 0; i < count; i++) length = length * 256 + this.#octet(field)
    if (length < 0x80 || length < 256 ** (count - 1)) {
      throw this.#invalid(field, at, 'has a length that is not minimal')
    }
    return length
  }

  #invalid(field: string, at: number, found: string): FormatError {
    return new FormatError('FORMAT_INVALID', field, this.#base + at, found)
  }
}

/** Enters one SEQUENCE that is all of `bytes`. */
export function readSequence(bytes: Uint8Array, what: string): DerReader {
  const outer = new DerReader(bytes)
  const sequence = outer.sequence(what)
  outer.end(what)
  return sequence
}

function hex(tag: number): string {
  return `0x${tag.toString(16).padStart(2, '0')}`
}
