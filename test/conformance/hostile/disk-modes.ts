import type { DiskMode } from './disk-entry.ts'

/** One way in which a disk answers, and what must come of it. */
export interface DiskCase {
  readonly mode: DiskMode
  /** Whether some readings fail. */
  readonly outcome: 'right' | 'refused'
  /** Whether its answers hold other bytes: a reader that checks nothing sees them. */
  readonly answers: 'harmless' | 'lies'
}

/** All of them. */
export const DISK_CASES: readonly DiskCase[] = [
  { mode: 'honest', outcome: 'right', answers: 'harmless' },
  { mode: 'delays', outcome: 'right', answers: 'harmless' },
  { mode: 'answers in reverse order', outcome: 'right', answers: 'harmless' },
  // the reader asks again for what is missing
  { mode: 'answers short', outcome: 'right', answers: 'harmless' },
  { mode: 'fails at random', outcome: 'refused', answers: 'harmless' },
  { mode: 'ends every file early', outcome: 'refused', answers: 'harmless' },
  { mode: 'exchanges two answers', outcome: 'refused', answers: 'lies' },
  { mode: 'answers with the bytes of the last read', outcome: 'refused', answers: 'lies' },
  { mode: 'answers with the next chunk', outcome: 'refused', answers: 'lies' },
  { mode: 'answers with the older file', outcome: 'refused', answers: 'lies' },
  { mode: 'changes a byte every other time', outcome: 'refused', answers: 'lies' },
  { mode: 'answers with noise', outcome: 'refused', answers: 'lies' },
]
