import { createHash } from 'node:crypto'
import {
  closeSync,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
} from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import { type Expected, isDirectory } from './tree.ts'

/** What reading a tree came to. */
export interface Counts {
  /** Paths whose metadata and bytes were those of the tree. */
  readonly right: number
  /** Paths that could not be read. */
  readonly refused: number
  /** Paths that looked otherwise, or were said not to exist. */
  readonly wrong: number
  /** Error codes of the refusals, with how often each came. */
  readonly errors: Readonly<Record<string, number>>
  /** A few sentences about wrong paths. */
  readonly samples: readonly string[]
}

/** What a reader is told: read the tree once, or on and on until `stop`, in orders of a seed. */
export type ReaderOrder =
  | { readonly kind: 'once'; readonly root: string; readonly seed: number }
  | { readonly kind: 'load'; readonly root: string; readonly seed: number; readonly passes: number }

// EIO; ENOTCONN, ECONNABORTED where the server is gone; EUCLEAN where an unauthenticated image is broken.
const REFUSALS: ReadonlySet<number> = new Set([5, 107, 103, 117])
const SAMPLES = 5

class Tally {
  readonly counts = { right: 0, refused: 0, wrong: 0 }
  readonly errors: Record<string, number> = {}
  readonly samples: string[] = []

  read(root: string, expected: Expected): void {
    try {
      const found = difference(root, expected)
      if (found === undefined) this.counts.right += 1
      else this.#wrong(`/${expected.path}: ${found}`)
    } catch (error) {
      const { errno = 0, code = '' } = error as NodeJS.ErrnoException
      if (!REFUSALS.has(-errno)) {
        this.#wrong(`/${expected.path}: ${String(error)}`)
        return
      }
      this.counts.refused += 1
      this.errors[code] = (this.errors[code] ?? 0) + 1
    }
  }

  result(): Counts {
    return { ...this.counts, errors: this.errors, samples: this.samples }
  }

  #wrong(sample: string): void {
    this.counts.wrong += 1
    if (this.samples.length < SAMPLES) this.samples.push(sample)
  }
}

/** What is not as it must be; undefined if all is. Throws what the kernel says. */
function difference(root: string, expected: Expected): string | undefined {
  const path = join(root, expected.path)
  const stat = lstatSync(path)
  if (stat.mode !== expected.mode) return `mode ${stat.mode.toString(8)}`
  if (isDirectory(stat.mode)) {
    const names = readdirSync(path).sort().join('\0')
    return names === expected.content ? undefined : 'other names'
  }
  if (Math.floor(stat.mtimeMs / 1000) !== expected.mtime) return `time ${stat.mtimeMs}`
  if (stat.size !== expected.size) return `size ${stat.size}`
  if (stat.isSymbolicLink()) {
    return readlinkSync(path) === expected.content ? undefined : 'another target'
  }
  return digestOf(path) === expected.content ? undefined : 'other bytes'
}

function digestOf(path: string): string {
  const fd = openSync(path, 'r')
  try {
    const buffer = Buffer.allocUnsafe(fstatSync(fd).size + 1)
    const hash = createHash('sha256')
    for (;;) {
      const count = readSync(fd, buffer)
      if (count === 0) return hash.digest('hex')
      hash.update(buffer.subarray(0, count))
    }
  } finally {
    closeSync(fd)
  }
}

function shuffled(list: readonly Expected[], seed: number): readonly Expected[] {
  const random = randomOf(seed)
  const out = [...list]
  for (let i = out.length - 1; i > 0; i--) {
    const j = random(i + 1)
    const [a, b] = [out[i], out[j]]
    if (a !== undefined && b !== undefined) [out[i], out[j]] = [b, a]
  }
  return out
}

let expected: readonly Expected[] = []
let stopped = false

async function work(order: ReaderOrder): Promise<Counts> {
  const tally = new Tally()
  stopped = false
  const passes = order.kind === 'once' ? 1 : order.passes
  for (let pass = 0; pass < passes && !stopped; pass++) {
    for (const [i, entry] of shuffled(expected, order.seed + pass).entries()) {
      tally.read(order.root, entry)
      if (i % 100 === 0) await turn()
      if (stopped) break
    }
  }
  return tally.result()
}

process.on('message', (message: { expected: Expected[] } | ReaderOrder | 'stop') => {
  if (message === 'stop') stopped = true
  else if ('expected' in message) expected = message.expected
  else void work(message).then((counts) => process.send?.(counts))
})
process.on('disconnect', () => process.exit())
