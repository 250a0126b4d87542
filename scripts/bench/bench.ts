import type { Row } from './document.ts'

/** What a bench is run with. */
export interface BenchOptions {
  /** Samples of each row. */
  readonly runs: number
  /** Says what is going on. */
  readonly note: (text: string) => void
  readonly signal: AbortSignal
}

/** One bench: `scripts/bench/NAME.ts` exports it as `bench`. */
export interface Bench {
  /** Debian packages whose versions belong to the figures. */
  readonly peers: readonly string[]
  readonly run: (options: BenchOptions) => Promise<readonly Row[]>
}
