import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { toHex } from '#lib/bytes'
import type { CommandContext } from '#lib/command'
import { isCoded } from '#lib/errors'
import { mrEnclave } from '#lib/manifest'
import { LayerStore } from '../../cache/layer-store.ts'
import { readBundle } from '../../launcher/signed-bundle.ts'
import { PoolFolder } from '../pool/pool-folder.ts'
import type { ContainerRecord } from '../record.ts'
import { ContainerStore } from '../store.ts'
import { type ProcessMemory, processMemory, sumOf } from './process-memory.ts'

/** A container that lives, and what its processes cost beside its own. */
export interface PodStatus {
  readonly id: string
  readonly name: string
  readonly processes: readonly ProcessMemory[]
  /** Bytes, of all three. */
  readonly pss: number
}

/** A spare (docs/pool.md). */
export interface SpareStatus {
  readonly id: string
  readonly key: string
  readonly state: 'starting' | 'ready'
  /** `sha256:…` */
  readonly initDataDigest: string
  /** Hex, of the agent. */
  readonly mrEnclave: string
  readonly createdAt: string
  readonly processes: readonly ProcessMemory[]
  readonly pss: number
}

/** The document of `status`. */
export interface NodeStatus {
  readonly version: string
  readonly root: string
  readonly state: string
  readonly platform: 'simulated'
  /** The default bundle; null where there is none, or it cannot be read: then `code` says why. */
  readonly bundle: {
    readonly directory: string
    readonly image: string
    readonly agent: string
    readonly init: string
  } | null
  readonly code?: string
  readonly containers: {
    readonly created: number
    readonly running: number
    readonly exited: number
  }
  readonly pods: readonly PodStatus[]
  readonly pool: {
    readonly size: number
    /** Milliseconds. */
    readonly linger: number
    readonly spares: readonly SpareStatus[]
  }
  /** Sealed layers kept on this node, and the bytes of all files there; null where it keeps none. */
  readonly layers: { readonly count: number; readonly size: number } | null
  /** FUSE mounts of our containers. */
  readonly fuseConnections: number
}

/** Looks at a node; changes nothing. Throws CodedError for damage. */
export function nodeStatus(context: CommandContext): NodeStatus {
  const { root, state } = context.places
  const records = new ContainerStore(context.places).list()
  const count = (wanted: ContainerRecord['state']): number =>
    records.filter((record) => record.state === wanted).length
  const live = records.filter((record) => record.state !== 'exited')
  return {
    version: context.program.version,
    root,
    state,
    platform: 'simulated',
    ...bundleOf(join(root, 'bundles', 'default')),
    containers: { created: count('created'), running: count('running'), exited: count('exited') },
    pods: live.map(podOf),
    pool: { ...context.pool, spares: PoolFolder.all(state).flatMap(sparesOf) },
    layers: new LayerStore(root).summary() ?? null,
    fuseConnections: live.reduce((sum, { initPid }) => sum + fuseMounts(initPid), 0),
  }
}

function bundleOf(directory: string): Pick<NodeStatus, 'bundle' | 'code'> {
  try {
    const { agent, init } = readBundle(directory)
    return {
      bundle: {
        directory,
        image: `sha256:${agent.manifest.image.sha256}`,
        agent: toHex(mrEnclave(agent.manifest)),
        init: toHex(mrEnclave(init.manifest)),
      },
    }
  } catch (error) {
    if (!isCoded(error)) throw error
    return { bundle: null, code: error.code }
  }
}

function podOf({ id, name, supervisorPid, agentPid, initPid }: ContainerRecord): PodStatus {
  const processes = processesOf(supervisorPid, agentPid, initPid)
  return { id, name, processes, pss: sumOf(processes) }
}

function sparesOf(folder: PoolFolder): SpareStatus[] {
  return folder.living().flatMap((id) => {
    const entry = folder.read(id)
    if (entry === undefined) return []
    const processes = processesOf(entry.supervisorPid, entry.agentPid, entry.initPid)
    return [
      {
        id,
        key: folder.key,
        state: entry.state,
        initDataDigest: `sha256:${entry.initDataDigest}`,
        mrEnclave: entry.mrEnclave,
        createdAt: entry.createdAt,
        processes,
        pss: sumOf(processes),
      },
    ]
  })
}

function processesOf(supervisor: number, agent: number, init: number): ProcessMemory[] {
  return [
    processMemory('supervisor', supervisor),
    processMemory('agent', agent),
    processMemory('init', init),
  ]
}

function fuseMounts(pid: number): number {
  if (pid === 0) return 0
  try {
    const lines = readFileSync(`/proc/${pid}/mountinfo`, 'latin1').split('\n')
    return lines.filter((line) => / - fuse\.sealed /.test(line)).length
  } catch {
    return 0
  }
}
