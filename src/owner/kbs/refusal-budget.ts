const BURST = 1024
const EVERY_MS = 5000

/**
 * How many refusals of evidence are recorded: 1024 at once, then one each five seconds. Everybody
 * can send false evidence, and each record is kept for ever and costs a write to disk; without a
 * limit a stranger could fill the disk of the broker, which then could release nothing any more.
 */
export class RefusalBudget {
  #left = BURST
  #since: number | undefined
  #omitted = 0

  /** True if a refusal at `now` (milliseconds since 1970) may be recorded; else it is counted. */
  take(now: number): boolean {
    const since = this.#since ?? now
    const earned = Math.max(0, Math.floor((now - since) / EVERY_MS))
    this.#left = Math.min(BURST, this.#left + earned)
    this.#since = this.#left === BURST || now < since ? now : since + earned * EVERY_MS
    if (this.#left === 0) {
      this.#omitted++
      return false
    }
    this.#left--
    return true
  }

  /** Refusals that were not recorded since this was asked last. */
  omitted(): number {
    const count = this.#omitted
    this.#omitted = 0
    return count
  }
}
