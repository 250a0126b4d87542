// One target of the fuzzer, in a thread of its own: an input that never ends, or takes all memory,
// must not take the runner along. The input under test lies in shared memory for the runner to read.
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { isCoded } from '../src/lib/errors/index.ts'
import { COUNTERS, type FuzzJob, type FuzzResult, MAX_INPUT } from './fuzz-job.ts'
import { mutations } from './fuzz-mutations.ts'
import { fuzzSeeds } from './fuzz-seeds.ts'
import type { FuzzTarget } from './fuzz-target.ts'

const { name, top, seconds, seed, shared } = workerData as FuzzJob
const counters = new Int32Array(shared, 0, 2)
const present = new Uint8Array(shared, COUNTERS)

async function fuzz(): Promise<FuzzResult> {
  const { target } = (await import(join(top, 'test/fuzz', `${name}.ts`))) as { target: FuzzTarget }
  const { good, files } = fuzzSeeds(name, target, join(top, 'test/vectors'))
  const seeds = good.length + files.length === 0 ? [new Uint8Array(0)] : [...good, ...files]
  const end = Date.now() + seconds * 1000
  let [runs, accepted] = [0, 0]
  const result = (more: Partial<FuzzResult> = {}): FuzzResult => ({
    runs,
    accepted,
    seeds: seeds.length,
    ...more,
  })
  for (const data of mutations(seeds, seed)) {
    // seeds are always tried, however little time there is: they are the regression test
    if (runs >= seeds.length && Date.now() >= end) break
    if (data.length > MAX_INPUT) continue
    present.set(data)
    counters[1] = data.length
    Atomics.store(counters, 0, ++runs)
    try {
      await target.run(data)
      accepted++
    } catch (error) {
      if (!isCoded(error)) return result({ find: String((error as Error).stack ?? error) })
      if (runs <= good.length) return result({ refusedSeed: `${runs - 1}: ${error.message}` })
    }
  }
  return result()
}

parentPort?.postMessage(await fuzz())
