import { createHash } from 'node:crypto'

/**
 * Remembers results of pure checks by the hash of everything that went in, so that the same
 * chain or document is not verified for every quote. Only successes are kept: a failure throws.
 * Nothing that depends on the time may be computed inside. At most `limit` results; the one
 * that was not used for longest goes first.
 */
export class Memo<T> {
  readonly #limit: number
  readonly #results = new Map<string, T>()

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The remembered result for exactly these inputs, or `compute()`. */
  get(inputs: readonly Uint8Array[], compute: () => T): T {
    const hash = createHash('sha256')
    for (const input of inputs) {
      // Lengths first: moving a byte from one input to the next gives another hash.
      hash.update(`${input.length}:`).update(input)
    }
    const id = hash.digest('base64')
    const known = this.#results.get(id)
    const result = known ?? compute()
    this.#results.delete(id)
    const [oldest] = this.#results.keys()
    if (this.#results.size >= this.#limit && oldest !== undefined) this.#results.delete(oldest)
    this.#results.set(id, result)
    return result
  }
}
