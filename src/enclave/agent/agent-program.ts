import { readFileSync } from 'node:fs'
import { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { isCoded } from '#lib/errors'
import type { Transport } from '#lib/http'
import { jsonLine } from '#lib/json-lines'
import { ociArchitecture } from '#lib/oci'
import { handlersOf, register, serveTtrpc } from '#lib/ttrpc'
import { createHttpTransport, isPublicAddress } from '#platform/http'
import { closeInherited, forbidDumps, keepFromChildren } from '#platform/process'
import { agentService, toStatus } from '#protocol/agent'
import { laterAfter } from '../later.ts'
import { openSimTee } from '../tee/index.ts'
import { type AgentEnvironment, createAgent } from './agent.ts'
import type { RegistryNetwork } from './image/image-source.ts'
import { layerSealer } from './image/layers.ts'

const CONTROL = 0
const DEVICE = 3
const TICK_MS = 5000
/** An agent that a container waits for is called sooner than that after it was configured. */
const IDLE_MS = 100
/** Calls at work at once; each holds a frame of up to 4 MiB. A supervisor has two or three. */
const MAX_CALLS = 16

/** Places that the program works with; fixed values inside a bundle. */
export interface AgentProgramOptions {
  /** Directory on a disk of the host; only ciphertext goes there. */
  readonly spool: string
  /** Directory of sealed layers that the node keeps for all pods; empty and not writable where it keeps none. */
  readonly cache: string
  /** PEM file of the measured CA list. */
  readonly caFile: string
  /** The program for a handover with quotes. */
  readonly quoteProgram: string
}

/**
 * The agent program: descriptor 0 is the supervisor's control socket, 1 and 2 the host's log, 3 the
 * TEE device. It ends when the supervisor goes.
 */
export async function agentProgram(options: AgentProgramOptions): Promise<void> {
  forbidDumps()
  closeInherited(DEVICE)
  keepFromChildren(CONTROL)
  const fatal = (error: unknown): never => {
    // Not its message: that may hold what must not leave the enclave.
    log({ code: isCoded(error) ? error.code : 'INTERNAL', text: placeOf(error) })
    process.exit(1)
  }
  process.on('uncaughtException', fatal)
  process.on('unhandledRejection', fatal)
  const control = new Socket({ fd: CONTROL, readable: true, writable: true })
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => control.destroy())
  }
  const tee = openSimTee(new Socket({ fd: DEVICE, readable: true, writable: true }))
  const agent = createAgent({
    ...environmentOf(options, tee),
    later: laterAfter(IDLE_MS, fatal),
  })
  const timer = setInterval(() => void agent.tick().catch(fatal), TICK_MS)
  await serveTtrpc(control, {
    handlers: handlersOf(register(agentService, agent.handlers)),
    toStatus,
    maxConcurrent: MAX_CALLS,
  })
  clearInterval(timer)
  agent.close()
  process.exit(0)
}

function environmentOf(
  { spool, cache, caFile, quoteProgram }: AgentProgramOptions,
  tee: AgentEnvironment['tee'],
): AgentEnvironment {
  return {
    tee,
    quoteProgram,
    brokerTransport: (pins) => createHttpTransport({ pins, tlsOnly: true }).send,
    registryNetwork: {
      transport: registryTransports(caFile),
      clock: {
        sleep: async (milliseconds, signal) => {
          await sleep(milliseconds, undefined, signal === undefined ? {} : { signal })
        },
        random: Math.random,
        now: Date.now,
      },
    },
    sealLayers: layerSealer({ spool, cache, sealingKey: tee.sealingKey }),
    platform: { os: 'linux', architecture: ociArchitecture(process.arch) },
    progress: () => performance.now(),
    log,
  }
}

/** One transport for each set of rules, so that connections are kept. */
function registryTransports(caFile: string): RegistryNetwork['transport'] {
  const known = new Map<string, Transport>()
  return ({ ca, privateAddresses }, now) => {
    const key = `${privateAddresses}\n${ca?.join('\n') ?? ''}`
    const transport =
      known.get(key) ??
      createHttpTransport({
        ca: ca ?? certificatesOf(caFile),
        notBefore: now,
        // A place that a server sends us to is not one that the owner named (own-protocols 10).
        allowAddress: (address, chosenByServer) =>
          !chosenByServer || privateAddresses || isPublicAddress(address),
      }).send
    known.set(key, transport)
    return transport
  }
}

function certificatesOf(file: string): string[] {
  const blocks = readFileSync(file, 'latin1').match(
    /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g,
  )
  return blocks ?? []
}

function log(line: Readonly<Record<string, string>>): void {
  process.stderr.write(jsonLine({ component: 'agent', ...line }))
}

/** Where a defect was found: the first line of the stack that names a function, never a message. */
function placeOf(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? '') : ''
  return /^\s+at [^\n]{1,200}$/m.exec(stack)?.[0]?.trim() ?? ''
}
