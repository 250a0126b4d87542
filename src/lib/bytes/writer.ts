/** Builds a byte string field by field. Integers out of range throw RangeError. */
export class Writer {
  #parts: Uint8Array[] = []
  #length = 0

  /** Bytes written so far. */
  get length(): number {
    return this.#length
  }

  u8(value: number): this {
    return this.#number(1, value, (view) => view.setUint8(0, value))
  }

  u16le(value: number): this {
    return this.#number(2, value, (view) => view.setUint16(0, value, true))
  }

  u16be(value: number): this {
    return this.#number(2, value, (view) => view.setUint16(0, value))
  }

  u32le(value: number): this {
    return this.#number(4, value, (view) => view.setUint32(0, value, true))
  }

  u32be(value: number): this {
    return this.#number(4, value, (view) => view.setUint32(0, value))
  }

  u64le(value: bigint): this {
    return this.#big(value, true)
  }

  u64be(value: bigint): this {
    return this.#big(value, false)
  }

  /** Appends the bytes; they are copied by `finish`, so do not change them before. */
  bytes(value: Uint8Array): this {
    this.#parts.push(value)
    this.#length += value.length
    return this
  }

  zeros(length: number): this {
    return this.bytes(new Uint8Array(length))
  }

  /** `e(x)` of own-protocols: u32 big-endian length, then the bytes. */
  lengthPrefixed(value: Uint8Array): this {
    return this.u32be(value.length).bytes(value)
  }

  /** All bytes written, as one fresh array. */
  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#length)
    let at = 0
    for (const part of this.#parts) {
      out.set(part, at)
      at += part.length
    }
    return out
  }

  #number(size: 1 | 2 | 4, value: number, set: (view: DataView) => void): this {
    if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * size)) {
      throw new RangeError(`${value} does not fit ${size} bytes`)
    }
    const part = new Uint8Array(size)
    set(new DataView(part.buffer))
    return this.bytes(part)
  }

  #big(value: bigint, little: boolean): this {
    if (value < 0n || value >= 1n << 64n) throw new RangeError(`${value} does not fit 8 bytes`)
    const part = new Uint8Array(8)
    new DataView(part.buffer).setBigUint64(0, value, little)
    return this.bytes(part)
  }
}
