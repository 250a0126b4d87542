// npm run fuzz -- TARGET|all [--seconds N] [--seed S]: mutates the vectors of each format and feeds
// them to its target (test/fuzz/TARGET.ts). A target throws only typed errors, and ends; anything else
// is a find: it is written to test/vectors/FORMAT/found-*, tried first from then on, and the run fails.
import { createHash } from 'node:crypto'
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { COUNTERS, type FuzzJob, type FuzzResult, MAX_INPUT } from './fuzz-job.ts'
import type { FuzzTarget } from './fuzz-target.ts'

const top = dirname(import.meta.dirname)
const HANG_SECONDS = 20
const MEMORY_MIB = 512

const { values, positionals } = parseArgs({
  args: process.argv.slice(2).filter((word) => word !== '--'),
  allowPositionals: true,
  options: { seconds: { type: 'string' }, seed: { type: 'string' } },
})
const all = globSync('test/fuzz/*.ts', { cwd: top })
  .map((file) => basename(file, '.ts'))
  .sort()
const [wanted = 'all'] = positionals
const seconds = Number(values.seconds ?? 60)
const seed = Number(values.seed ?? Date.now() % 1_000_000_000)
if ((wanted !== 'all' && !all.includes(wanted)) || !(seconds > 0) || !Number.isInteger(seed)) {
  console.error('error: usage: fuzz TARGET|all [--seconds N] [--seed S] [USAGE]')
  console.error(`next: choose one of: ${all.join(' ')}`)
  process.exit(2)
}

/** Runs one target to its end; a thread that stands still on one input is ended. */
async function runTarget(name: string, shared: SharedArrayBuffer): Promise<FuzzResult> {
  const counters = new Int32Array(shared, 0, 2)
  const workerData: FuzzJob = { name, top, seconds, seed, shared }
  const worker = new Worker(join(import.meta.dirname, 'fuzz-worker.ts'), {
    workerData,
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxOldGenerationSizeMb: MEMORY_MIB },
  })
  const { promise, resolve } = Promise.withResolvers<FuzzResult>()
  const failed = (find: string): void => {
    resolve({ runs: counters[0] ?? 0, accepted: 0, seeds: 0, find })
  }
  worker.once('message', resolve)
  worker.once('error', (error) => failed(String((error as Error).stack ?? error)))
  worker.once('exit', () => failed('the thread ended before its input was done'))
  let [seen, since] = [0, Date.now()]
  const watch = setInterval(() => {
    const now = Atomics.load(counters, 0)
    if (now !== seen) [seen, since] = [now, Date.now()]
    else if (now > 0 && Date.now() - since > HANG_SECONDS * 1000) {
      failed(`one input took more than ${HANG_SECONDS} s`)
    }
  }, 1000)
  try {
    return await promise
  } finally {
    clearInterval(watch)
    await worker.terminate()
  }
}

/** Keeps the input that was under test when something went wrong. */
async function keepFind(name: string, shared: SharedArrayBuffer): Promise<string> {
  const { target } = (await import(join(top, 'test/fuzz', `${name}.ts`))) as { target: FuzzTarget }
  const length = new Int32Array(shared, 0, 2)[1] ?? 0
  const data = new Uint8Array(shared.slice(COUNTERS, COUNTERS + length))
  const hash = createHash('sha256').update(data).digest('hex').slice(0, 16)
  const folder = join(top, 'test/vectors', target.format)
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, `found-${name}-${hash}.bin`), data)
  return `${target.format}/found-${name}-${hash}.bin`
}

console.error(`fuzz: seed ${seed}, ${seconds} s a target`)
const queue = wanted === 'all' ? all : [wanted]
let finds = 0

// Two targets at a time: each is one thread, and machines that test have two cores.
async function lane(): Promise<void> {
  for (let name = queue.shift(); name !== undefined; name = queue.shift()) {
    const shared = new SharedArrayBuffer(COUNTERS + MAX_INPUT)
    const { runs, accepted, seeds, refusedSeed, find } = await runTarget(name, shared)
    console.error(`fuzz: ${name}: ${runs} inputs, ${accepted} accepted, seeds ${seeds}`)
    if (find !== undefined) console.error(`fuzz: ${name}: ${await keepFind(name, shared)}: ${find}`)
    else if (refusedSeed !== undefined)
      console.error(`fuzz: ${name}: refused its seed ${refusedSeed}`)
    else if (accepted === 0) console.error(`fuzz: ${name}: accepted nothing: its seeds are wrong`)
    else continue
    finds++
  }
}

await Promise.all([lane(), lane()])
process.exitCode = finds === 0 ? 0 : 1
