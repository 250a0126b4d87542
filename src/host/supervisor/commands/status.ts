import { type Command, printable } from '#lib/command'
import { CodedError } from '#lib/errors'
import { type NodeStatus, nodeStatus } from '../status/node-status.ts'
import type { ProcessMemory } from '../status/process-memory.ts'

const MIB = 1024 * 1024

/** `status`: what runs and waits on this node, and what it costs. */
export const status: Command = {
  path: ['status'],
  summary: 'Show what runs and waits on this node, and its memory',
  example: 'enclave-cc status --json',
  run: async (context) => {
    // the memory of enclaves is for root alone to see: a sum without it would be wrong
    if (process.getuid?.() !== 0) throw new CodedError('ROOT_REQUIRED', 'status needs root')
    const document = nodeStatus(context)
    return { document, text: describe(document) }
  },
}

function describe(found: NodeStatus): string {
  const { bundle, code, containers, pods, pool, layers, fuseConnections } = found
  return [
    `enclave-cc ${found.version}, simulated platform: the operator of this machine can read memory`,
    `places      root ${found.root}, state ${found.state}`,
    bundle === null
      ? `bundle      none (${code})`
      : `bundle      ${bundle.directory}: agent ${bundle.agent}, init ${bundle.init}`,
    `containers  ${containers.running} running, ${containers.created} starting, ${containers.exited} exited; ${fuseConnections} FUSE mounts`,
    ...(layers === null ? [] : [`layers      ${layers.count} kept, ${mebibytes(layers.size)}`]),
    ...pods.map(({ id, name, pss, processes }) =>
      line(`pod ${id.slice(0, 12)} ${printable(name)}`, pss, processes),
    ),
    `pool        ${pool.size} for each kind of pod, ${pool.linger / 1000} s after the last container`,
    ...pool.spares.map(({ id, state, initDataDigest, pss, processes }) =>
      line(`spare ${id} ${state}, init-data ${initDataDigest.slice(0, 19)}`, pss, processes),
    ),
  ].join('\n')
}

function line(what: string, pss: number, processes: readonly ProcessMemory[]): string {
  const parts = processes.map((each) => `${each.name} ${each.pid} ${mebibytes(each.pss)}`)
  return `  ${what}: ${mebibytes(pss)} (${parts.join(', ')})`
}

function mebibytes(bytes: number): string {
  return `${(bytes / MIB).toFixed(1)} MiB`
}
