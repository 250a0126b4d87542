import { TokenBucket } from './token-bucket.ts'

const BURST = 1024
const EVERY_MS = 5000

/**
 * How many refusals of evidence are recorded: 1024 at once, then one each five seconds. Everybody
 * can send false evidence, and each record is kept for ever and costs a write to disk; without a
 * limit a stranger could fill the disk of the broker, which then could release nothing any more.
 */
export class RefusalBudget {
  // In milliseconds, of which each refusal costs as many as it takes to earn one.
  readonly #bucket = new TokenBucket(BURST * EVERY_MS, 1)
  #omitted = 0

  /** True if a refusal at `now` (milliseconds since 1970) may be recorded; else it is counted. */
  take(now: number): boolean {
    if (this.#bucket.take(EVERY_MS, now)) return true
    this.#omitted++
    return false
  }

  /** Refusals that were not recorded since this was asked last. */
  omitted(): number {
    const count = this.#omitted
    this.#omitted = 0
    return count
  }
}
