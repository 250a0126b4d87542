import { join } from 'node:path'
import type { RowFrame } from '../document.ts'
import { dropCaches, fio, timed } from './drivers.ts'
import type { Measure } from './measure.ts'
import { PLACES } from './tree.ts'

const KIB = 1024
const MIB = 1024 * KIB
/** Reads that one sample takes, of all threads. */
const RANDOM_READS = 4000
const IMPORTS = 'import asyncio, decimal, email.message, json, sqlite3, ssl, urllib.request'

/** Faster in every row, and three times as fast with metadata (design, section 10). */
const GOAL = { faster: 1, metadata: 3 }

/** What is read of the tree. Each measure starts with empty caches. */
export const READS: readonly Measure[] = [
  {
    rows: [rate('cold sequential read, 384 MiB', 'MiB/s')],
    async run(root) {
      dropCaches()
      const job = { file: join(root, PLACES.random), rw: 'read', blockSize: MIB } as const
      return [fio(job).bytesPerSecond / MIB]
    },
  },
  ...[1, 4].map(
    (threads): Measure => ({
      rows: [
        rate(
          `cold random 4 KiB reads, ${threads === 1 ? '1 thread' : `${threads} threads`}`,
          '1/s',
        ),
      ],
      async run(root) {
        dropCaches()
        const file = join(root, PLACES.random)
        const operations = RANDOM_READS / threads
        const job = { file, rw: 'randread', blockSize: 4 * KIB, threads, operations } as const
        return [fio(job).operationsPerSecond]
      },
    }),
  ),
  coldAndWarm('metadata (find -printf)', GOAL.metadata, (root) => [
    ...['find', root, '-printf', '%p %s %m %U %G %T@ %l\\n'],
  ]),
  coldAndWarm('read of 9000 small files', GOAL.faster, (root) => [
    ...['find', join(root, PLACES.repository), '-name', '*.txt', '-exec', 'cat', '{}', '+'],
  ]),
  coldAndWarm('start of python3 with 7 imports', GOAL.faster, (root) => [
    ...['chroot', root, PLACES.python, '-c', IMPORTS],
  ]),
  coldAndWarm('git status, 9000 files', GOAL.faster, (root) => [
    ...['chroot', root, 'git', '-C', PLACES.repository, '--no-optional-locks', 'status', '--short'],
  ]),
]

/** Takes note of every file's status once: inode numbers are the filesystem's own. */
export async function refreshIndex(root: string): Promise<void> {
  await timed(['chroot', root, 'git', '-C', PLACES.repository, 'status', '--short'])
}

function rate(name: string, unit: string): RowFrame {
  return { name, unit, better: 'higher', goal: GOAL.faster }
}

function coldAndWarm(
  name: string,
  goal: number,
  line: (root: string) => readonly string[],
): Measure {
  const frame = (state: string): RowFrame => ({
    ...{ name: `${state} ${name}`, unit: 'ms', better: 'lower', goal },
  })
  return {
    rows: [frame('cold'), frame('warm')],
    async run(root) {
      dropCaches()
      // The tools are the machine's own and not what is measured.
      await timed(['find', '/dev/null', '-exec', 'cat', '{}', '+'])
      await timed(['chroot', '/', 'true'])
      return [await timed(line(root)), await timed(line(root))]
    },
  }
}
