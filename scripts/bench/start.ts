// From the command to the first byte that the program in the container prints. `cold`: the node keeps no
// sealed layer and no bundle is mounted; `warm`: both are there from an earlier container; `warm with pool`:
// enclaves wait, too (docs/pool.md). Attestation, signature, decision and keys are the same in all three.
// The peers run the same program with nothing to attest or decrypt: runc from a root filesystem that was
// unpacked beforehand, containerd, where it is installed, from the image that it has unpacked.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { busyboxRoot } from '../../test/support/busybox-image.ts'
import { publishShell } from '../../test/support/owner.ts'
import { POOL_ON, readySpares } from '../../test/support/spares.ts'
import type { CliOptions, World } from '../../test/support/world.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { ctrPeer, hasContainerd } from './ctr-peer.ts'
import { type Row, type RowFrame, row } from './document.ts'
import { background, openWorld } from './world.ts'

const PRINT = 'echo started'
/** Holds the bundle mounted; ends at once when it is told to. */
const HOLD = 'trap "exit 0" TERM; sleep 3600 & wait'

/** A spare that is ready rehearses; nobody waits for that but this measurement. */
const REHEARSED_MS = 2000

/** 3 times the peer at most (design, section 10), as a ratio. */
const GOAL = 0.333

/** Times of one start in milliseconds. */
export interface Start {
  readonly firstOutput: number
  readonly whole: number
  /** Milliseconds that each step took, by the name that the command gives it. */
  readonly steps: ReadonlyMap<string, number>
  /** What was printed. */
  readonly stdout: string
  /** All layers were on the node. */
  readonly cached: boolean
}

export const bench: Bench = { peers: ['runc', 'containerd'], run }

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  await using world = await openWorld('start')
  note('publish the images')
  const image = await publishShell(world, 'start', PRINT)
  const holding = await publishShell(world, 'hold', HOLD)
  const runc = runcPeer(world)
  const ours = (options: CliOptions = {}): Promise<Start> =>
    timeStart(world.start(['run', '--rm', image], options))
  const cold = async (): Promise<Start> => {
    await world.ok(['cache', 'gc', '--max-size', '0'])
    return expected(await ours(), { cached: false })
  }
  const attest = (): Promise<Start> => timeStart(world.start(['attest', '--quiet']))

  const samples = {
    cold: [] as Start[],
    warm: [] as Start[],
    pooled: [] as Start[],
    attest: [] as Start[],
    runc: [] as Start[],
    ctr: [] as Start[],
  }
  await using stack = new AsyncDisposableStack()
  // `publish` wrote the image's layout there
  const layout = world.path('acme-start-1-plain')
  const ctr = hasContainerd() ? stack.use(await ctrPeer(world, layout)) : undefined
  // one of each beforehand: what the page cache holds is the same for all samples then
  await ours()
  await runc()
  if (ctr !== undefined) await timeStart(ctr.start())
  for (let i = 0; i < runs; i++) {
    signal.throwIfAborted()
    note(`run ${i + 1} of ${runs}`)
    samples.cold.push(await cold())
    samples.runc.push(await runc())
    if (ctr !== undefined) samples.ctr.push(await timeStart(ctr.start()))
    {
      await using _held = await background(world, holding)
      samples.warm.push(expected(await ours(), { cached: true }))
      samples.attest.push(await attest())
    }
    await using _held = await background(world, holding, POOL_ON)
    await readySpares(world, 1)
    await delay(REHEARSED_MS)
    samples.pooled.push(expected(await ours(POOL_ON), { cached: true }))
  }
  return rows(samples)
}

type Samples = Readonly<
  Record<'cold' | 'warm' | 'pooled' | 'attest' | 'runc' | 'ctr', readonly Start[]>
>

function rows({ cold, warm, pooled, attest, runc, ctr }: Samples): Row[] {
  const frame = (name: string, goal: number | null, note?: string): RowFrame => {
    const base: RowFrame = { name, unit: 'ms', better: 'lower', goal }
    return note === undefined ? base : { ...base, note }
  }
  const compare = (name: string, peer: string, theirs: readonly Start[], goal: number | null) =>
    (['firstOutput', 'whole'] as const).flatMap((part) => {
      const what = part === 'whole' ? 'whole command' : 'first output'
      const of = (starts: readonly Start[]): number[] => starts.map((start) => start[part])
      const side = { name: peer, samples: of(theirs) }
      return [
        row(
          frame(
            `warm with pool: ${what}, ${name}`,
            part === 'whole' ? null : goal,
            'layers cached',
          ),
          of(pooled),
          side,
        ),
        row(frame(`warm: ${what}, ${name}`, null, 'layers cached'), of(warm), side),
        row(frame(`cold: ${what}, ${name}`, null), of(cold), side),
      ]
    })
  return [
    ...(ctr.length === 0 ? [] : compare('containerd', 'ctr run', ctr, GOAL)),
    ...compare('runc alone', 'runc run', runc, null),
    row(
      frame('attest alone, warm', null, 'start an agent, attest, print the token'),
      attest.map(({ whole }) => whole),
    ),
    ...steps('warm with pool', pooled),
    ...steps('warm', warm),
  ]
}

/** A row must not say what its samples were not. */
function expected(start: Start, { cached }: { cached: boolean }): Start {
  if (start.cached === cached) return start
  throw new Error(`a start ${cached ? 'did not find' : 'found'} its layers on the node`)
}

/** What each step of a start took, as the command reports it: there is no peer for them. */
function steps(kind: string, starts: readonly Start[]): Row[] {
  return [...(starts[0]?.steps.keys() ?? [])].map((step) =>
    row(
      { name: `${kind}: ${step}`, unit: 'ms', better: 'lower', goal: null },
      starts.map((start) => start.steps.get(step) ?? 0),
    ),
  )
}

/** Waits for a command; throws if it fails. Progress lines are timed as they come. */
export async function timeStart(child: ChildProcess): Promise<Start> {
  const begin = performance.now()
  let [firstOutput, last, stdout, stderr] = [0, begin, '', '']
  const steps = new Map<string, number>()
  child.stdout?.once('data', () => {
    firstOutput = performance.now() - begin
  })
  child.stdout?.on('data', (chunk) => {
    stdout += String(chunk)
  })
  child.stderr?.on('data', (chunk) => {
    stderr += String(chunk)
    const now = performance.now()
    for (const [, name = ''] of String(chunk).matchAll(/^✓ (.+?) {2}/gm)) {
      steps.set(name, now - last)
      last = now
    }
  })
  const [code] = (await once(child, 'close')) as [number | null]
  const whole = performance.now() - begin
  if (code !== 0) throw new Error(`a start failed with exit code ${code}:\n${stderr}`)
  const [, found, all] = /(\d+) of (\d+) were on this node/.exec(stderr) ?? []
  const cached = found !== undefined && found === all
  return { firstOutput, whole, steps, stdout, cached }
}

/** Starts of the same program by runc alone. */
function runcPeer(world: World): () => Promise<Start> {
  const bundle = world.path('runc-bundle')
  mkdirSync(bundle)
  execFileSync('runc', ['spec', '--bundle', bundle])
  const file = join(bundle, 'config.json')
  const spec = JSON.parse(readFileSync(file, 'utf8')) as {
    process: { terminal: boolean; args: string[] }
    root: object
  }
  spec.process.terminal = false
  spec.process.args = ['sh', '-c', PRINT]
  spec.root = { path: busyboxRoot(), readonly: true }
  writeFileSync(file, JSON.stringify(spec))
  let count = 0
  return () => {
    const args = ['--root', world.path('runc'), 'run', '--bundle', bundle, `bench-${count++}`]
    return timeStart(spawn('runc', args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  }
}
