import type { RowFrame } from '../document.ts'

/** Something that is done with each contender in turn and gives one value for each of its rows. */
export interface Measure {
  /** The goal is against gocryptfs. */
  readonly rows: readonly RowFrame[]
  /** `root` is the contender's; values in the order of the rows. */
  run(root: string): Promise<readonly number[]>
}
