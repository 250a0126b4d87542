/** Samples of one side of a row. */
export interface Measured {
  readonly median: number
  readonly min: number
  readonly max: number
  readonly samples: readonly number[]
}

/** What a row is, before it is measured. */
export interface RowFrame {
  readonly name: string
  readonly unit: string
  /** Which direction is good. */
  readonly better: 'lower' | 'higher'
  /** With a peer a ratio, without one a value in `unit`; null where there is no goal. */
  readonly goal: number | null
  readonly note?: string
}

/** One row of a document. */
export interface Row extends RowFrame {
  readonly runs: number
  readonly order: 'alternating'
  readonly ours: Measured
  readonly peer: ({ readonly name: string } & Measured) | null
  /** Above 1: ours is better. Null without a peer. */
  readonly ratio: number | null
  /** Null where there is no goal, or where the samples spread too far to decide. */
  readonly met: boolean | null
}

/** What the figures were measured on. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryBytes: number
  readonly kernel: string
  readonly node: string
}

/** What `npm run bench` writes (docs/testing.md). */
export interface BenchDocument {
  readonly schema: 'enclave-cc.bench/1'
  readonly bench: string
  readonly commit: string
  /** RFC 3339. */
  readonly date: string
  readonly machine: Machine
  readonly peers: Readonly<Record<string, string>>
  readonly rows: readonly Row[]
}

/** Above this ratio of the largest to the smallest sample, a goal is neither met nor missed. */
const MAX_SPREAD = 1.5

/** Median, least and largest of at least one sample; values keep four significant digits. */
export function measured(samples: readonly number[]): Measured {
  const sorted = [...samples].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  const [low, high] = [sorted[(sorted.length - 1) >> 1], sorted[middle]]
  if (low === undefined || high === undefined) throw new RangeError('no samples')
  return {
    median: round((low + high) / 2),
    min: round(sorted[0] as number),
    max: round(sorted.at(-1) as number),
    samples: samples.map(round),
  }
}

/** A row from its samples, those of the peer beside them. */
export function row(
  frame: RowFrame,
  samples: readonly number[],
  peer?: { readonly name: string; readonly samples: readonly number[] },
): Row {
  const ours = measured(samples)
  const theirs = peer === undefined ? null : { name: peer.name, ...measured(peer.samples) }
  const ratio =
    theirs === null
      ? null
      : round(frame.better === 'lower' ? theirs.median / ours.median : ours.median / theirs.median)
  return {
    ...frame,
    runs: samples.length,
    order: 'alternating',
    ours,
    peer: theirs,
    ratio,
    met: decide(frame, ours, theirs, ratio),
  }
}

function decide(
  { goal, better }: RowFrame,
  ours: Measured,
  peer: Measured | null,
  ratio: number | null,
): boolean | null {
  if (goal === null) return null
  if ([ours, peer].some((side) => side !== null && side.max / side.min > MAX_SPREAD)) return null
  if (ratio !== null) return ratio >= goal
  return better === 'lower' ? ours.median <= goal : ours.median >= goal
}

function round(value: number): number {
  return Number(value.toPrecision(4))
}
