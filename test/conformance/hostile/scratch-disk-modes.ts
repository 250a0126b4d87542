/** What a disk under a scratch does with reads and writes. `honest` is an ordinary disk. */
export type ScratchDiskMode =
  | 'honest'
  | 'delays'
  | 'answers in reverse order'
  | 'reads and writes short'
  | 'fails at random'
  | 'reads and writes nothing'
  | 'answers what was asked before'
  | 'reads what was written before'
  | 'reads at another place'
  | 'changes a byte'
  | 'drops writes'
  | 'writes in another order'
  | 'writes to another place'
  | 'tears writes'
  | 'loses what was not synced'

/** One behaviour, and what must come of it. */
export interface ScratchDiskCase {
  readonly mode: ScratchDiskMode
  /** Whether some readings or writings fail. */
  readonly outcome: 'right' | 'refused'
  /** Where it lies, so that an ext4 which checks nothing shows other bytes: in answers, in what it keeps, nowhere. */
  readonly lies: 'reading' | 'writing' | 'nowhere'
}

/** All of them. */
export const SCRATCH_DISK_CASES: readonly ScratchDiskCase[] = [
  { mode: 'honest', outcome: 'right', lies: 'nowhere' },
  { mode: 'delays', outcome: 'right', lies: 'nowhere' },
  { mode: 'answers in reverse order', outcome: 'right', lies: 'nowhere' },
  // whoever asks asks again for what is missing
  { mode: 'reads and writes short', outcome: 'right', lies: 'nowhere' },
  { mode: 'fails at random', outcome: 'refused', lies: 'nowhere' },
  { mode: 'reads and writes nothing', outcome: 'refused', lies: 'nowhere' },
  { mode: 'answers what was asked before', outcome: 'refused', lies: 'reading' },
  { mode: 'reads what was written before', outcome: 'refused', lies: 'reading' },
  { mode: 'reads at another place', outcome: 'refused', lies: 'reading' },
  { mode: 'changes a byte', outcome: 'refused', lies: 'reading' },
  { mode: 'drops writes', outcome: 'refused', lies: 'writing' },
  { mode: 'writes in another order', outcome: 'refused', lies: 'writing' },
  { mode: 'writes to another place', outcome: 'refused', lies: 'writing' },
  { mode: 'tears writes', outcome: 'refused', lies: 'writing' },
  { mode: 'loses what was not synced', outcome: 'refused', lies: 'writing' },
]
