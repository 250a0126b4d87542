import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type CliOptions, until, type World } from './world.ts'

/** A process in the document of `status`. */
export interface StatusProcess {
  readonly name: string
  readonly pid: number
  readonly pss: number
}

/** A spare in the document of `status`. */
export interface Spare {
  readonly id: string
  readonly key: string
  readonly state: string
  readonly initDataDigest: string
  readonly processes: readonly StatusProcess[]
  readonly pss: number
}

/** The document of `status`, as far as tests read it. */
export interface Status {
  readonly pool: { readonly size: number; readonly spares: readonly Spare[] }
  readonly pods: readonly {
    readonly id: string
    readonly pss: number
    readonly processes: readonly StatusProcess[]
  }[]
  readonly containers: { readonly running: number }
  readonly bundle: { readonly agent: string } | null
  readonly fuseConnections: number
}

/** Options of commands with a pool of one; a world has none by itself. */
export const POOL_ON: CliOptions & { readonly env: Readonly<Record<string, string>> } = {
  env: { ENCLAVE_CC_POOL_SIZE: '1' },
}

/** A program that says that it is up, and ends when it is told to. */
export const SERVER = 'trap "exit 0" TERM; echo up; while :; do sleep 0.1; done'

/** What `status` shows. */
export async function statusOf(world: World): Promise<Status> {
  return (await world.ok(['status', '--json'], POOL_ON)).json<Status>()
}

/** The spares, once there are as many, all of them ready. */
export async function readySpares(world: World, count: number): Promise<readonly Spare[]> {
  let found: readonly Spare[] = []
  await until(async () => {
    // a command for each look would take the very processors that the spares need to become ready
    if (readyEntries(world) < count) return false
    found = (await statusOf(world)).pool.spares
    return found.length === count && found.every(({ state }) => state === 'ready')
  }, `${count} spares`)
  return found
}

/** How many spares have said that they are ready; some may have ended since. */
function readyEntries(world: World): number {
  const pool = join(world.state, 'pool')
  const files = existsSync(pool) ? readdirSync(pool, { recursive: true, encoding: 'utf8' }) : []
  return files.filter(
    (file) =>
      file.endsWith('.json') && readFileSync(join(pool, file), 'latin1').includes('"ready"'),
  ).length
}

/** Waits until a spare is claimed, or has ended. */
export async function claimed(world: World, { key, id }: Spare): Promise<void> {
  const file = join(world.state, 'pool', key, `${id}.json`)
  await until(async () => !existsSync(file), `the claim of ${id}`)
}

/** Process id of a part of a spare. */
export function pidOf(spare: Spare, name: 'supervisor' | 'agent' | 'init'): number {
  const found = spare.processes.find((each) => each.name === name)
  assert.ok(found !== undefined && found.pid > 0, `the ${name} of spare ${spare.id}`)
  return found.pid
}

/** A container in the document of `inspect`, as far as tests of the pool read it. */
export interface PooledContainer {
  readonly agent: { readonly pid: number }
  readonly init: { readonly pid: number }
  readonly mounts: readonly {
    readonly destination: string
    readonly kind: string
    readonly size: number
  }[]
}

/** What `inspect` shows of one container. */
export async function inspected(world: World, id: string): Promise<PooledContainer> {
  const [found] = (await world.ok(['inspect', id, '--json'])).json<PooledContainer[]>()
  assert.ok(found !== undefined)
  return found
}

/** Whether a container has the enclaves of a spare. */
export async function took(world: World, id: string, spare: Spare): Promise<boolean> {
  const { agent, init } = await inspected(world, id)
  const same = [agent.pid === pidOf(spare, 'agent'), init.pid === pidOf(spare, 'init')]
  assert.equal(same[0], same[1], 'both of one spare, or none')
  return same[0] === true
}

/** Waits until no process of a spare is left. */
export async function gone(spare: Spare, why: string): Promise<void> {
  for (const { name, pid } of spare.processes) {
    await until(async () => !existsSync(`/proc/${pid}`), `the end of the ${name}: ${why}`)
  }
}
