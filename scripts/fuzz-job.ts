/** What the runner hands to the thread of one target. */
export interface FuzzJob {
  readonly name: string
  readonly top: string
  readonly seconds: number
  readonly seed: number
  /** [count of inputs, length of the present one], then its bytes. */
  readonly shared: SharedArrayBuffer
}

/** Largest input that is tried: joins of seeds grow, and the runner must be able to keep a find. */
export const MAX_INPUT: number = 1024 * 1024
/** Bytes of the two counters before the input. */
export const COUNTERS = 8

/** What a thread came to. */
export interface FuzzResult {
  readonly runs: number
  readonly accepted: number
  readonly seeds: number
  /** Number of a good seed that was refused, and why. */
  readonly refusedSeed?: string
  /** Text of an error that no input may cause. */
  readonly find?: string
}
