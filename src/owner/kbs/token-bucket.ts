/** So much at once, and then what time earns; a bucket is full at first. */
export class TokenBucket {
  readonly #size: number
  readonly #rate: number
  #left: number
  #since = 0

  /** Holds `size`, and earns `rate` a millisecond. */
  constructor(size: number, rate: number) {
    this.#size = size
    this.#rate = rate
    this.#left = size
  }

  /** True if there is as much at `now` (milliseconds since 1970), which is gone then. */
  take(amount: number, now: number): boolean {
    this.#left = this.#at(now)
    this.#since = now
    if (amount > this.#left) return false
    this.#left -= amount
    return true
  }

  /** True if nothing is missing at `now`. */
  isFull(now: number): boolean {
    return this.#at(now) === this.#size
  }

  // A clock that was set back earns nothing.
  #at(now: number): number {
    return Math.min(this.#size, this.#left + Math.max(0, now - this.#since) * this.#rate)
  }
}
