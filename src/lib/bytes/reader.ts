import { FormatError } from './format-error.ts'

/**
 * A cursor over bytes that cannot overrun. Each read names its field, so that a
 * `FormatError` explains itself. Views are returned, not copies.
 */
export class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  /** Offset of the next byte. */
  get offset(): number {
    return this.#at
  }

  /** Bytes not read yet. */
  get remaining(): number {
    return this.#bytes.length - this.#at
  }

  u8(field: string): number {
    return this.#view.getUint8(this.#take(1, field))
  }

  u16le(field: string): number {
    return this.#view.getUint16(this.#take(2, field), true)
  }

  u16be(field: string): number {
    return this.#view.getUint16(this.#take(2, field))
  }

  u32le(field: string): number {
    return this.#view.getUint32(this.#take(4, field), true)
  }

  u32be(field: string): number {
    return this.#view.getUint32(this.#take(4, field))
  }

  u64le(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field), true)
  }

  u64be(field: string): bigint {
    return this.#view.getBigUint64(this.#take(8, field))
  }

  /** A u64 (big endian) that must fit `max`, as a number. */
  sizeBe(field: string, max: number): number {
    const at = this.#at
    const value = this.u64be(field)
    if (value > BigInt(max)) throw limit(field, at, value, max)
    return Number(value)
  }

  /** The next `length` bytes, as a view. */
  bytes(length: number, field: string): Uint8Array {
    const at = this.#take(length, field)
    return this.#bytes.subarray(at, at + length)
  }

  /** A u32 (big endian) length of at most `max`; check it before allocating. */
  countBe(field: string, max: number): number {
    const at = this.#at
    const value = this.u32be(field)
    if (value > max) throw limit(field, at, value, max)
    return value
  }

  /** A u32 (little endian) length of at most `max`. */
  countLe(field: string, max: number): number {
    const at = this.#at
    const value = this.u32le(field)
    if (value > max) throw limit(field, at, value, max)
    return value
  }

  /** `e(x)` of own-protocols: u32 big-endian length, then the bytes. */
  lengthPrefixed(field: string, max: number): Uint8Array {
    return this.bytes(this.countBe(`${field} length`, max), field)
  }

  /** `length` bytes that must all be zero. */
  zeros(length: number, field: string): void {
    const at = this.#at
    for (const byte of this.bytes(length, field)) {
      if (byte !== 0) throw new FormatError('FORMAT_INVALID', field, at, 'must be zero')
    }
  }

  /** Trailing bytes are an error. */
  end(what: string): void {
    if (this.remaining !== 0) {
      throw new FormatError(
        'FORMAT_TRAILING',
        what,
        this.#at,
        `${this.remaining} bytes follow its end`,
      )
    }
  }

  #take(length: number, field: string): number {
    const at = this.#at
    if (!Number.isSafeInteger(length) || length < 0) throw new RangeError(`length of ${field}`)
    if (length > this.remaining) {
      throw new FormatError(
        'FORMAT_TRUNCATED',
        field,
        at,
        `needs ${length} bytes, ${this.remaining} are left`,
      )
    }
    this.#at = at + length
    return at
  }
}

function limit(field: string, at: number, value: number | bigint, max: number): FormatError {
  return new FormatError('FORMAT_LIMIT', field, at, `is ${value}, the limit is ${max}`)
}
