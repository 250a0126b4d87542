import { hash } from 'node:crypto'
import { concat, copyOf, equalBytes } from '#lib/bytes'

interface Entry<T> {
  /** Copies: what the caller does to its own bytes afterwards changes nothing here. */
  readonly inputs: readonly Uint8Array[]
  readonly result: T
}

/**
 * Remembers results of pure checks by the hash of everything that went in, so that the same
 * chain or document is not verified for every quote. Only successes are kept: a failure throws.
 * Nothing that depends on the time may be computed inside. At most `limit` results; the one
 * that was not used for longest goes first.
 */
export class Memo<T> {
  readonly #limit: number
  readonly #entries = new Map<string, Entry<T>>()
  /** The end of the map. Comparing 20 kB with it costs a small part of hashing them. */
  #latest: Entry<T> | undefined

  constructor(limit: number) {
    this.#limit = limit
  }

  /** The remembered result for exactly these inputs, or `compute()`. */
  get(inputs: readonly Uint8Array[], compute: () => T): T {
    if (this.#latest !== undefined && sameInputs(this.#latest.inputs, inputs)) {
      return this.#latest.result
    }
    const id = idOf(inputs)
    const entry = this.#entries.get(id) ?? { inputs: inputs.map(copyOf), result: compute() }
    this.#entries.delete(id)
    if (this.#entries.size >= this.#limit) {
      const [oldest] = this.#entries.keys()
      if (oldest !== undefined) this.#entries.delete(oldest)
    }
    this.#entries.set(id, entry)
    this.#latest = entry
    return entry.result
  }
}

function sameInputs(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i], b[i]]
    if (left === undefined || right === undefined || !equalBytes(left, right)) return false
  }
  return true
}

function idOf(inputs: readonly Uint8Array[]): string {
  // Lengths first: moving a byte from one input to the next gives another hash.
  const lengths = new Float64Array(inputs.map((input) => input.length))
  return hash('sha256', concat(new Uint8Array(lengths.buffer), ...inputs), 'base64')
}
