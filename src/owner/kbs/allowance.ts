/** Bytes of records that one machine may cause at once: some 4000 starts of a container. */
export const ALLOWANCE_BURST: number = 64 * 1024 * 1024
/** Bytes a second that it earns: about one start, 1.4 GB a day. */
export const ALLOWANCE_RATE: number = 16 * 1024

/** Machines with less than all of it; above this, those that have it again are forgotten. */
const MANY = 1024

interface Account {
  left: number
  /** Milliseconds since 1970. */
  since: number
}

/**
 * How many bytes of records each accepted machine may cause. What is recorded is kept for ever, and an
 * accepted enclave is started by a host that may ask as often as it likes. What goes beyond is refused
 * before it is decided: nothing is released without its record.
 */
export class Allowances {
  readonly #accounts = new Map<string, Account>()
  #omitted = 0

  /** True if `machine` may cause `bytes` more at `now` (milliseconds since 1970); else it is counted. */
  take(machine: string, bytes: number, now: number): boolean {
    const account = this.#accounts.get(machine) ?? { left: ALLOWANCE_BURST, since: now }
    // A clock that was set back earns nothing.
    const earned = (Math.max(0, now - account.since) / 1000) * ALLOWANCE_RATE
    account.left = Math.min(ALLOWANCE_BURST, account.left + earned)
    account.since = now
    if (!this.#accounts.has(machine)) this.#forgetFull(now)
    this.#accounts.set(machine, account)
    if (bytes > account.left) {
      this.#omitted++
      return false
    }
    account.left -= bytes
    return true
  }

  /** Requests that were refused since this was asked last. */
  omitted(): number {
    const count = this.#omitted
    this.#omitted = 0
    return count
  }

  // Who has all of it is as who never asked. Machines are certified: their number is not for strangers to choose.
  #forgetFull(now: number): void {
    if (this.#accounts.size < MANY) return
    for (const [machine, { left, since }] of this.#accounts) {
      const earned = (Math.max(0, now - since) / 1000) * ALLOWANCE_RATE
      if (left + earned >= ALLOWANCE_BURST) this.#accounts.delete(machine)
    }
  }
}
