import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { until } from '../../../test/support/world.ts'
import type { RowFrame } from '../document.ts'
import { dropCaches, fio, printed, timed } from './drivers.ts'
import type { Measure } from './measure.ts'
import { PLACES } from './tree.ts'

const KIB = 1024
const MIB = 1024 * KIB
const FILE_BYTES = 256 * MIB
const RANDOM_WRITES = 8000
const SYNCED_WRITES = 500
const TRANSACTIONS = 300
const REQUESTS = 2000
/** Inside the tree; made for each measure. */
const PLACE = '/var/bench'

/** Faster in every row (design, section 10). */
const GOAL = 1
const SYNC_NOTE =
  'ours need not reach the disk: a scratch ends with its init, so that none is opened after a crash'

const INSERT = `
import sqlite3, time
db = sqlite3.connect('${PLACE}/db', isolation_level=None)
db.execute('create table t (k integer primary key, v text)')
begin = time.perf_counter()
for i in range(${TRANSACTIONS}): db.execute('insert into t values (?, ?)', (i, 'v' * 100))
print(${TRANSACTIONS} / (time.perf_counter() - begin))
`

/**
 * What is written on top of the tree, into the scratch of ours and into the filesystem itself of the others.
 * `archive` holds the small files.
 */
export function writes(archive: string): readonly Measure[] {
  const inPlace = (run: (place: string, root: string) => Promise<readonly number[]>) => {
    return async (root: string): Promise<readonly number[]> => {
      const place = join(root, PLACE)
      mkdirSync(place, { recursive: true })
      try {
        return await run(place, root)
      } finally {
        rmSync(place, { recursive: true, force: true })
        execFileSync('sync')
      }
    }
  }
  return [
    {
      rows: [
        rate('sequential write and fsync, 256 MiB', 'MiB/s'),
        rate('random 4 KiB writes, then fsync', '1/s'),
      ],
      run: inPlace(async (place) => {
        const file = join(place, 'file')
        const copy = ['dd', 'if=/dev/zero', `of=${file}`, 'bs=1M', `count=${FILE_BYTES / MIB}`]
        const time = await timed([...copy, 'conv=fsync', 'status=none'])
        const random = fio({
          ...{ file, rw: 'randwrite', blockSize: 4 * KIB, size: FILE_BYTES },
          ...{ operations: RANDOM_WRITES, syncAtEnd: true },
        })
        return [FILE_BYTES / MIB / (time / 1000), RANDOM_WRITES / random.seconds]
      }),
    },
    {
      rows: [rate('4 KiB writes with fdatasync each', '1/s', SYNC_NOTE)],
      run: inPlace(async (place) => {
        const job = { file: join(place, 'log'), rw: 'write', blockSize: 4 * KIB } as const
        const size = SYNCED_WRITES * job.blockSize
        return [SYNCED_WRITES / fio({ ...job, size, syncEvery: 1 }).seconds]
      }),
    },
    {
      rows: [
        time('untar of 9000 small files, and sync'),
        time('cold read of 9000 written files'),
        time('rm -r of 9000 files'),
      ],
      run: inPlace(async (place) => {
        const untar = `tar -xf '${archive}' -C '${place}' && sync -f '${place}'`
        const written = await timed(['sh', '-c', untar])
        dropCaches()
        await timed(['find', '/dev/null', '-exec', 'cat', '{}', '+'])
        const read = await timed(['find', place, '-name', '*.txt', '-exec', 'cat', '{}', '+'])
        return [written, read, await timed(['rm', '-r', join(place, 'repository')])]
      }),
    },
    {
      rows: [rate('redis SET, appendfsync always, 1 client', '1/s', SYNC_NOTE)],
      run: inPlace(async (_place, root) => [await redisRequests(root)]),
    },
    {
      rows: [rate('SQLite inserts, a transaction each', '1/s', SYNC_NOTE)],
      run: inPlace(async (_place, root) => [
        Number(printed(['chroot', root, PLACES.python, '-c', INSERT])),
      ]),
    },
  ]
}

/** The small files of the tree as an archive of their own. */
export function packSmallFiles(root: string, folder: string): string {
  const archive = join(folder, 'small.tar')
  const top = join(root, PLACES.repository, '..')
  execFileSync('tar', ['-cf', archive, '-C', top, '--exclude=.git', 'repository'])
  return archive
}

/** Requests per second of redis-server, one after the other. */
async function redisRequests(root: string): Promise<number> {
  const socket = `${PLACE}/redis.sock`
  const client = (program: string, ...args: string[]): string =>
    printed(['chroot', root, `/usr/bin/${program}`, '-s', socket, ...args])
  const server = spawn(
    'chroot',
    [
      ...[root, '/usr/bin/redis-server', '--port', '0', '--unixsocket', socket, '--dir', PLACE],
      ...['--appendonly', 'yes', '--appendfsync', 'always', '--save', ''],
    ],
    { stdio: 'ignore' },
  )
  const gone = once(server, 'exit')
  try {
    await until(async () => client('redis-cli', 'ping').startsWith('PONG'), 'redis-server')
    const csv = client('redis-benchmark', '-t', 'set', '-n', `${REQUESTS}`, '-c', '1', '--csv')
    const rate = /^"SET","([\d.]+)"/m.exec(csv)?.[1]
    if (rate === undefined) throw new Error(`redis-benchmark printed ${csv}`)
    return Number(rate)
  } finally {
    server.kill('SIGKILL')
    await gone
  }
}

function rate(name: string, unit: string, note?: string): RowFrame {
  const frame: RowFrame = { name, unit, better: 'higher', goal: GOAL }
  return note === undefined ? frame : { ...frame, note }
}

function time(name: string): RowFrame {
  return { name, unit: 'ms', better: 'lower', goal: GOAL }
}
