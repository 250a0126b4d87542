import { existsSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { fromBase64 } from '#lib/bytes'
import type { AgentClient } from '#protocol/agent'
import { layersFolder } from '../cache/layer-store.ts'
import { readBundle } from '../launcher/signed-bundle.ts'
import type { PodJob } from './job.ts'
import type { OutputStream } from './log-file.ts'
import { NODE_LOG_LIMIT } from './node-log.ts'
import { type Enclave, type InitEnclave, Pod } from './pod.ts'
import { TwoFiles } from './two-files.ts'

/** Takes what the program in the container writes; its pipes wait until the promise is fulfilled. */
export type OutputSink = (stream: OutputStream, data: Uint8Array) => Promise<void>

/** The two enclaves of a pod, configured and with nothing in them yet. */
export interface Enclaves {
  readonly agent: Enclave<AgentClient>
  readonly init: InitEnclave
}

const SPOOL = 'spool'
const LOG = 'enclaves.log'

/** Opens the log of what the agent of a pod says itself, in the pod's folder. */
export function openPodLog(folder: string): TwoFiles {
  return new TwoFiles(join(folder, LOG), NODE_LOG_LIMIT)
}

/** Opens the pod of a job, with its spool in `folder`. */
export async function openPod(job: PodJob, folder: string, log: TwoFiles): Promise<Pod> {
  return await Pod.open({
    platformDir: join(job.root, 'platform'),
    bundle: readBundle(job.bundle),
    bundleRoot: job.bundleRoot,
    spool: join(folder, SPOOL),
    layers: job.cacheMaxSize > 0 ? layersFolder(job.root) : undefined,
    initData: fromBase64(job.initData, 'init-data'),
    onAgentOutput: (data) => void log.append(data),
  })
}

/**
 * A pod whose enclaves are being started, before anything of a container is known: neither its id nor
 * where its output goes. A cold start gives it both at once, a spare when it is claimed. Disposing of it
 * ends the enclaves.
 */
export class LaunchedPod implements AsyncDisposable {
  /** Rejects where one of them could not be started. */
  readonly enclaves: Promise<Enclaves>
  readonly #pod: Pod
  readonly #log: TwoFiles
  readonly #sink = Promise.withResolvers<OutputSink>()
  #folder: string
  #scratch: Promise<unknown> | undefined
  #ended: Promise<void> | undefined

  private constructor(folder: string, pod: Pod, log: TwoFiles) {
    this.#folder = folder
    this.#pod = pod
    this.#log = log
    const output: OutputSink = async (stream, data) => (await this.#sink.promise)(stream, data)
    this.enclaves = Promise.all([pod.agent(), pod.init(output)]).then(([agent, init]) => ({
      agent,
      init,
    }))
    // who waits for them hears of it
    this.enclaves.catch(() => {})
  }

  /** Opens the pod with its spool and its log in `folder`, where `spool` exists. */
  static async launch(job: PodJob, folder: string): Promise<LaunchedPod> {
    const log = openPodLog(folder)
    try {
      return new LaunchedPod(folder, await openPod(job, folder, log), log)
    } catch (error) {
      log[Symbol.dispose]()
      throw error
    }
  }

  /**
   * Gives spool and log to a container's folder. The enclaves do not notice: what is mounted is the
   * folder, not its name.
   */
  moveTo(folder: string): void {
    const spool = join(this.#folder, SPOOL)
    if (existsSync(spool)) renameSync(spool, join(folder, SPOOL))
    this.#log.moveTo(join(folder, LOG))
    this.#folder = folder
  }

  /**
   * Lets init make an encrypted scratch of `size` bytes; resolves when it is there. It is made once: later
   * calls hear what became of that. Rejects with what init says.
   */
  async prepareScratch(size: number): Promise<void> {
    this.#scratch ??= this.enclaves.then(({ init }) =>
      init.calls.prepareScratch({ size: BigInt(size) }),
    )
    await this.#scratch
  }

  /** Says, once, where output goes. */
  sendOutputTo(sink: OutputSink): void {
    this.#sink.resolve(sink)
  }

  /** May be called again. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#ended ??= this.#end()
    return this.#ended
  }

  async #end(): Promise<void> {
    this.#sink.resolve(async () => {})
    await this.#pod[Symbol.asyncDispose]()
    this.#log[Symbol.dispose]()
  }
}
