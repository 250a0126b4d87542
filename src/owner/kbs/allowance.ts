import { TokenBucket } from './token-bucket.ts'

/** Bytes of records that one machine may cause at once: some 4000 starts of a container. */
export const ALLOWANCE_BURST: number = 64 * 1024 * 1024
/** Bytes a second that it earns: about one start, 1.4 GB a day. */
export const ALLOWANCE_RATE: number = 16 * 1024

/** Machines with less than all of it; above this, those that have it again are forgotten. */
const MANY = 1024

/**
 * How many bytes of records each accepted machine may cause. What is recorded is kept for ever, and an
 * accepted enclave is started by a host that may ask as often as it likes. What goes beyond is refused
 * before it is decided: nothing is released without its record.
 */
export class Allowances {
  readonly #machines = new Map<string, TokenBucket>()
  #omitted = 0

  /** True if `machine` may cause `bytes` more at `now` (milliseconds since 1970); else it is counted. */
  take(machine: string, bytes: number, now: number): boolean {
    if (this.#bucket(machine, now).take(bytes, now)) return true
    this.#omitted++
    return false
  }

  /** Requests that were refused since this was asked last. */
  omitted(): number {
    const count = this.#omitted
    this.#omitted = 0
    return count
  }

  #bucket(machine: string, now: number): TokenBucket {
    const known = this.#machines.get(machine)
    if (known !== undefined) return known
    this.#forgetFull(now)
    const bucket = new TokenBucket(ALLOWANCE_BURST, ALLOWANCE_RATE / 1000)
    this.#machines.set(machine, bucket)
    return bucket
  }

  // Who has all of it is as who never asked. Machines are certified: their number is not for strangers to choose.
  #forgetFull(now: number): void {
    if (this.#machines.size < MANY) return
    for (const [machine, bucket] of this.#machines) {
      if (bucket.isFull(now)) this.#machines.delete(machine)
    }
  }
}
