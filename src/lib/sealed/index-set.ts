/** Chunk indexes that were sealed, one bit each. */
export class IndexSet {
  #bits: Uint8Array = new Uint8Array(128)

  /** Adds an index; false if it was there already. */
  claim(index: number): boolean {
    const at = index >>> 3
    if (at >= this.#bits.length) {
      const grown = new Uint8Array(Math.max(at + 1, this.#bits.length * 2))
      grown.set(this.#bits)
      this.#bits = grown
    }
    const mask = 1 << (index & 7)
    const bits = this.#bits[at] as number
    this.#bits[at] = bits | mask
    return (bits & mask) === 0
  }
}
