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

/** What `status` shows. */
export async function statusOf(world: World): Promise<Status> {
  return (await world.ok(['status', '--json'], POOL_ON)).json<Status>()
}

/** The spares, once there are as many, all of them ready. */
export async function readySpares(world: World, count: number): Promise<readonly Spare[]> {
  let found: readonly Spare[] = []
  await until(async () => {
    found = (await statusOf(world)).pool.spares
    return found.length === count && found.every(({ state }) => state === 'ready')
  }, `${count} spares`)
  return found
}
