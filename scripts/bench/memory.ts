// What a pod costs: the proportional share of all our processes of an idle one, and the agent's largest
// resident size while it pulled layers of two sizes. A shared page counts by its share, so that the sum
// over all pods is what the machine spends.
import { readFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { entryArchive } from '../../test/support/entry-archive.ts'
import { publishShell } from '../../test/support/owner.ts'
import { POOL_ON, readySpares } from '../../test/support/spares.ts'
import type { World } from '../../test/support/world.ts'
import { randomOf } from '../fuzz-mutations.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { measured, type Row, type RowFrame, row } from './document.ts'
import { addLayer, largeFile } from './streamed-layer.ts'
import { background, openWorld } from './world.ts'

const HOLD = 'trap "exit 0" TERM; echo started; sleep 3600 & wait'
const MIB = 1024 * 1024
/** MiB of a layer: small, far above every buffer, and what must not matter at all. */
const LAYERS = [20, 300, 2048] as const
/** Above this size a layer is made as a stream, and pulled in this many runs at most. */
const STREAMED = 1024
const STREAMED_RUNS = 2
/** Files, directories and links of one layer, half of them in one directory. */
const ENTRIES = 240_000
const SEED = 1

/** What a spare needs to come to rest. */
const WARMED_MS = 3000

export const bench: Bench = { peers: ['runc'], run }

interface Pids {
  readonly supervisor: number
  readonly agent: number
  readonly init: number
}

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  await using world = await openWorld('memory')
  // each pod pulls: one that finds its layers on the node takes less
  world.env.ENCLAVE_CC_CACHE_MAX_SIZE = '0'
  note('publish the images')
  const idle = await publishShell(world, 'idle', HOLD)
  const pulls = new Map<number, string>()
  for (const size of LAYERS) {
    const name = `layer-${size}`
    if (size < STREAMED) {
      pulls.set(size, await publishShell(world, name, HOLD, { '/data': data(size * MIB) }))
    } else {
      const edit = (layout: string) => addLayer(layout, largeFile('data', size * MIB, data(MIB)))
      pulls.set(size, await publishShell(world, name, HOLD, {}, edit))
    }
  }
  const entries = await publishShell(world, 'entries', HOLD, {}, (layout) =>
    addLayer(layout, entryArchive(ENTRIES)),
  )
  const samples = new Map<string, number[]>()
  const add = (name: string, value: number): void => {
    samples.set(name, [...(samples.get(name) ?? []), value])
  }
  for (let i = 0; i < runs; i++) {
    signal.throwIfAborted()
    note(`run ${i + 1} of ${runs}`)
    {
      await using first = await background(world, idle)
      const of = await pids(world, first.id)
      const one = shares(of)
      for (const [name, share] of Object.entries(one)) add(name, share)
      for (const [name, share] of Object.entries(shares(of, 'Pss_Anon'))) add(`${name} own`, share)
      add('sum', sum(one))
      await using second = await background(world, idle)
      const both =
        sum(shares(await pids(world, first.id))) + sum(shares(await pids(world, second.id)))
      add('further', both - sum(one))
    }
    {
      await using _held = await background(world, idle, POOL_ON)
      await readySpares(world, 1)
      // it warms up first
      await delay(WARMED_MS)
      const [spare] = await readySpares(world, 1)
      if (spare === undefined) throw new Error('there is no spare')
      add('spare', spare.pss / MIB)
      for (const { name, pss } of spare.processes) add(`spare ${name}`, pss / MIB)
    }
    for (const [size, image] of pulls) {
      if (size >= STREAMED && i >= STREAMED_RUNS) continue
      await using pulled = await background(world, image)
      const { agent, init } = await pids(world, pulled.id)
      add(`agent ${size}`, peak(agent))
      add(`init ${size}`, peak(init))
    }
    await using pulled = await background(world, entries)
    add('entries', peak((await pids(world, pulled.id)).agent))
  }
  return rows(samples)
}

function rows(samples: ReadonlyMap<string, readonly number[]>): Row[] {
  const make = (key: string, name: string, goal: number | null, note?: string): Row => {
    const frame: RowFrame = { name, unit: 'MiB', better: 'lower', goal }
    return row(note === undefined ? frame : { ...frame, note }, samples.get(key) ?? [])
  }
  return [
    make('sum', 'idle pod, all our processes', 150, 'PSS of supervisor, agent and init'),
    ...(['supervisor', 'agent', 'init'] as const).map((name) => {
      const { median } = measured(samples.get(`${name} own`) ?? [])
      return make(
        name,
        `idle pod: ${name}`,
        null,
        `of it ${median} MiB anonymous, the rest is files`,
      )
    }),
    make('spare', 'a spare, all its processes', null, 'PSS beside one pod (docs/pool.md)'),
    ...(['supervisor', 'agent', 'init'] as const).map((name) =>
      make(`spare ${name}`, `spare: ${name}`, null),
    ),
    make('further', 'a second pod adds', null, 'PSS of both pods less that of the first alone'),
    ...LAYERS.flatMap((size) => [
      make(
        `agent ${size}`,
        `agent, peak with a ${size} MiB layer`,
        200,
        'VmHWM, gzip, half random',
      ),
      make(`init ${size}`, `init, peak with a ${size} MiB layer`, null),
    ]),
    make('entries', `agent, peak with a layer of ${ENTRIES} entries`, 200, 'VmHWM, 303 MiB of tar'),
  ]
}

async function pids(world: World, id: string): Promise<Pids> {
  const file = `${world.root}/containers/${id}/state.json`
  const record = JSON.parse(readFileSync(file, 'utf8')) as Record<string, number>
  const pid = (name: string): number => {
    const value = record[`${name}Pid`]
    if (value === undefined || value === 0) throw new Error(`container ${id} has no ${name}`)
    return value
  }
  return { supervisor: pid('supervisor'), agent: pid('agent'), init: pid('init') }
}

/** PSS of each process in MiB, or a part of it. */
function shares(of: Pids, part = 'Pss'): Record<keyof Pids, number> {
  const share = (pid: number): number => kib(`/proc/${pid}/smaps_rollup`, part)
  return { supervisor: share(of.supervisor), agent: share(of.agent), init: share(of.init) }
}

/** Largest resident size in MiB since the process began. */
export function peak(pid: number): number {
  return kib(`/proc/${pid}/status`, 'VmHWM')
}

function kib(file: string, field: string): number {
  const found = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(file, 'utf8'))?.[1]
  if (found === undefined) throw new Error(`${file} has no ${field}`)
  return Number(found) / 1024
}

function sum(of: Readonly<Record<string, number>>): number {
  return Object.values(of).reduce((total, share) => total + share, 0)
}

/** Bytes of which every other KiB is random: what programs and their data compress to, about half. */
function data(size: number): Uint8Array {
  const random = randomOf(SEED)
  const bytes = new Uint8Array(size)
  const words = new Uint32Array(bytes.buffer)
  for (let at = 0; at < words.length; at++) {
    if ((at & 256) === 0) words[at] = random(0x100000000)
  }
  return bytes
}
