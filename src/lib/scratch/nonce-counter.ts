/** Chunks that one thread may seal under one key: 4 PiB, far below what GCM allows for a counter. */
export const SEALS_PER_WORKER: number = 2 ** 40

/**
 * The nonces of one serving thread: `u32(worker) ‖ u64(counter)`, each once. Two threads have different
 * numbers, so none of theirs is the same either.
 */
export class NonceCounter {
  readonly #worker: number
  readonly #limit: number
  #counter = 0

  /** `worker` from 1; `limit` is how many nonces there are. */
  constructor(worker: number, limit: number = SEALS_PER_WORKER) {
    if (!Number.isInteger(worker) || worker < 1 || worker > 0xffff) {
      throw new RangeError(`worker ${worker}`)
    }
    this.#worker = worker
    this.#limit = limit
  }

  /** Writes the next nonce into 12 bytes; false when there are no more. */
  next(into: Uint8Array): boolean {
    if (this.#counter >= this.#limit) return false
    this.#counter += 1
    const view = new DataView(into.buffer, into.byteOffset, 12)
    view.setUint32(0, this.#worker)
    view.setUint32(4, Math.floor(this.#counter / 2 ** 32))
    view.setUint32(8, this.#counter % 2 ** 32)
    return true
  }
}
