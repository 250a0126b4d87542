/**
 * An enclave’s idea of the time: max(date of its bundle, what its broker signed), plus its own
 * monotonic progress since. The host's clock never takes part, so the host can neither extend a
 * validity nor end one early (own-protocols 10).
 */
export class EnclaveClock {
  readonly #progress: () => number
  #base: number
  #at: number

  /** `builtAt` in Unix seconds; `progress` in milliseconds, only ever forward. */
  constructor(builtAt: number, progress: () => number) {
    this.#progress = progress
    this.#base = builtAt * 1000
    this.#at = progress()
  }

  /** Milliseconds since 1970: a lower bound of the true time. */
  now(): number {
    return this.#base + (this.#progress() - this.#at)
  }

  /** Milliseconds of progress, for measuring durations. */
  progress(): number {
    return this.#progress()
  }

  /** Learns from the broker's signed `iat` (Unix seconds); an earlier one changes nothing. */
  observe(issuedAt: number): void {
    if (issuedAt * 1000 <= this.now()) return
    this.#base = issuedAt * 1000
    this.#at = this.#progress()
  }
}
