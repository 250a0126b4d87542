/** Bytes that only grow, in one array: names, tails and xattr bodies of many nodes. */
export class BytePool {
  #bytes: Uint8Array
  #length = 0

  constructor(capacity = 4096) {
    this.#bytes = new Uint8Array(capacity)
  }

  /** Bytes used. */
  get length(): number {
    return this.#length
  }

  /** The whole store; valid until the next append. */
  get bytes(): Uint8Array {
    return this.#bytes
  }

  /** Copies `bytes` to the end and returns where they start. */
  append(bytes: Uint8Array): number {
    const at = this.reserve(bytes.length)
    this.#bytes.set(bytes, at)
    return at
  }

  /** Makes room for `length` bytes at the end, zeros, and returns where they start. */
  reserve(length: number): number {
    const at = this.#length
    if (at + length > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(this.#bytes.length * 2, at + length))
      grown.set(this.#bytes.subarray(0, at))
      this.#bytes = grown
    }
    this.#length = at + length
    return at
  }
}
