// From the command to the first byte that the program in the container prints. The peer runs the same
// program from the same root filesystem, unpacked beforehand, with nothing to attest or decrypt.
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { World } from '../../test/support/world.ts'
import type { Bench, BenchOptions } from './bench.ts'
import { type Row, type RowFrame, row } from './document.ts'
import { background, openWorld, publishShell } from './world.ts'

const TOP = dirname(dirname(import.meta.dirname))
const ROOTFS = join(TOP, '.bootstrap/busybox')
const PRINT = 'echo started'
/** Holds the bundle mounted; ends at once when it is told to. */
const HOLD = 'trap "exit 0" TERM; sleep 3600 & wait'

/** 3 times the peer at most (design, section 10), as a ratio. */
const GOAL = 0.333

/** Times of one start in milliseconds. */
interface Start {
  readonly firstOutput: number
  readonly whole: number
  /** Milliseconds that each step took, by the name that the command gives it. */
  readonly steps: ReadonlyMap<string, number>
}

export const bench: Bench = { peers: ['runc', 'containerd'], run }

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  await using world = await openWorld('start')
  note('publish the images')
  const image = await publishShell(world, 'start', PRINT)
  const holding = await publishShell(world, 'hold', HOLD)
  const runc = runcPeer(world)
  const ours = (): Promise<Start> => timeStart(world.start(['run', '--rm', image]))
  const attest = (): Promise<Start> => timeStart(world.start(['attest', '--quiet']))

  const samples = {
    cold: [] as Start[],
    warm: [] as Start[],
    attest: [] as Start[],
    runc: [] as Start[],
  }
  // one of each beforehand: what the page cache holds is the same for all samples then
  await ours()
  await runc()
  for (let i = 0; i < runs; i++) {
    signal.throwIfAborted()
    note(`run ${i + 1} of ${runs}`)
    samples.cold.push(await ours())
    samples.runc.push(await runc())
    await using _held = await background(world, holding)
    samples.warm.push(await ours())
    samples.attest.push(await attest())
  }
  return rows(samples)
}

function rows(samples: Readonly<Record<'cold' | 'warm' | 'attest' | 'runc', Start[]>>): Row[] {
  const first = (of: readonly Start[]): number[] => of.map(({ firstOutput }) => firstOutput)
  const whole = (of: readonly Start[]): number[] => of.map((start) => start.whole)
  const frame = (name: string, goal: number | null, note?: string): RowFrame => ({
    name,
    unit: 'ms',
    better: 'lower',
    goal,
    ...(note === undefined ? {} : { note }),
  })
  const runc = (of: readonly number[]): { name: string; samples: readonly number[] } => ({
    name: 'runc run',
    samples: of,
  })
  const { cold, warm, attest, runc: peer } = samples
  const step = (of: readonly Start[]): string => breakdown(of)
  return [
    row(frame('warm: first output', GOAL, step(warm)), first(warm), runc(first(peer))),
    row(frame('warm: whole command', null), whole(warm), runc(whole(peer))),
    row(frame('cold: first output', null, step(cold)), first(cold), runc(first(peer))),
    row(frame('cold: whole command', null), whole(cold), runc(whole(peer))),
    row(
      frame('attest alone, warm', null, 'start an agent, attest, print the token'),
      whole(attest),
    ),
  ]
}

/** Median milliseconds of each step, in the order of the command's report. */
function breakdown(starts: readonly Start[]): string {
  const names = [...(starts[0]?.steps.keys() ?? [])]
  const parts = names.map((name) => {
    const times = starts.map(({ steps }) => steps.get(name) ?? 0).sort((a, b) => a - b)
    return `${name} ${Math.round(times[times.length >> 1] ?? 0)}`
  })
  return `medians in ms: ${parts.join(', ')}`
}

/** Waits for a command; throws if it fails. Progress lines are timed as they come. */
async function timeStart(child: ChildProcess): Promise<Start> {
  const begin = performance.now()
  let [firstOutput, last, stderr] = [0, begin, '']
  const steps = new Map<string, number>()
  child.stdout?.once('data', () => {
    firstOutput = performance.now() - begin
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
  return { firstOutput, whole, steps }
}

/** Starts of the same program by runc alone. */
function runcPeer(world: World): () => Promise<Start> {
  const bundle = world.path('runc-bundle')
  mkdirSync(bundle)
  if (!existsSync(ROOTFS)) throw new Error(`${ROOTFS} is missing`)
  execFileSync('runc', ['spec', '--bundle', bundle])
  const file = join(bundle, 'config.json')
  const spec = JSON.parse(readFileSync(file, 'utf8')) as {
    process: { terminal: boolean; args: string[] }
    root: object
  }
  spec.process.terminal = false
  spec.process.args = ['sh', '-c', PRINT]
  spec.root = { path: ROOTFS, readonly: true }
  writeFileSync(file, JSON.stringify(spec))
  let count = 0
  return () => {
    const args = ['--root', world.path('runc'), 'run', '--bundle', bundle, `bench-${count++}`]
    return timeStart(spawn('runc', args, { stdio: ['ignore', 'pipe', 'pipe'] }))
  }
}
