import { createHash } from 'node:crypto'
import { concat } from '#lib/bytes'
import { CodedError } from '#lib/errors'
import { manifestBytes } from '#lib/manifest'
import { openPipe, type Pipe } from '#platform/pipe'
import { type AgentClient, agentClient, type InitClient, initClient } from '#protocol/agent'
import { type EnclaveProcess, startEnclave } from '../launcher/enclave-process.ts'
import { mountPod } from '../launcher/pod-mounts.ts'
import type { SignedBundle } from '../launcher/signed-bundle.ts'
import { openPlatform, type SimPlatform } from '../launcher/sim/index.ts'
import { PipeDrain } from './pipe-drain.ts'

/** How long the last words of an enclave that was killed may take to be read, in milliseconds. */
const LAST_WORDS_MS = 500
/** The same for the last output of a container, which is more and more wanted. */
const LAST_OUTPUT_MS = 2000

/** Where the enclaves of a pod get what, and put what. */
export interface PodOptions {
  readonly platformDir: string
  readonly bundle: SignedBundle
  readonly bundleRoot: string
  /** Folder that becomes `/spool`. */
  readonly spool: string
  /** Folder that becomes `/layers`; undefined: the node keeps no layers. */
  readonly layers: string | undefined
  readonly initData: Uint8Array
  /** Takes what the agent itself says. */
  readonly onAgentOutput: (data: Uint8Array) => void
}

/** An enclave with the calls of its service. */
export interface Enclave<Client> {
  readonly process: EnclaveProcess
  readonly calls: Client
}

/** An init with the output of its container. */
export interface InitEnclave extends Enclave<InitClient> {
  /**
   * Resolves when all output is taken; to be called when init and all of the container are dead. Whoever
   * holds its pipes open nevertheless is not waited for. Throws what `onOutput` threw.
   */
  drained(): Promise<void>
}

/**
 * The enclaves of one pod. Open it in a private mount namespace of its own; disposing of it ends them.
 */
export class Pod implements AsyncDisposable {
  readonly #options: PodOptions
  readonly #platform: SimPlatform
  readonly #configId: Uint8Array
  readonly #starts: Promise<EnclaveProcess>[] = []
  readonly #drains: PipeDrain[] = []

  private constructor(options: PodOptions, platform: SimPlatform) {
    this.#options = options
    this.#platform = platform
    const digest = createHash('sha256').update(options.initData).digest()
    this.#configId = concat(digest, new Uint8Array(32))
  }

  static async open(options: PodOptions): Promise<Pod> {
    mountPod(options.bundleRoot, options.spool, options.layers)
    return new Pod(options, await openPlatform(options.platformDir))
  }

  /** Starts the agent and tells it whose it is. */
  async agent(): Promise<Enclave<AgentClient>> {
    const [process, [pipe]] = await this.#startWith('agent', [openPipe()])
    this.#drain(pipe, async (data) => this.#options.onAgentOutput(data))
    const calls = agentClient(process.client)
    await this.#configure(calls, 'agent')
    return { process, calls }
  }

  /** Starts an init; its output is the container's, and waits for `onOutput`. */
  async init(
    onOutput: (stream: 'stdout' | 'stderr', data: Uint8Array) => Promise<void>,
  ): Promise<InitEnclave> {
    const [process, [out, err]] = await this.#startWith('init', [openPipe(), openPipe()])
    const drains = [
      this.#drain(out, (data) => onOutput('stdout', data)),
      this.#drain(err, (data) => onOutput('stderr', data)),
    ]
    const drained = async (): Promise<void> => {
      await Promise.all(drains.map((drain) => drain.end(LAST_OUTPUT_MS)))
    }
    const calls = initClient(process.client)
    await this.#configure(calls, 'init')
    return { process, calls, drained }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // one that is being started just now ends too
    const starts = await Promise.allSettled(this.#starts)
    await Promise.all(starts.map((s) => (s.status === 'fulfilled' ? s.value.kill() : undefined)))
    // what cannot be read is not kept
    await Promise.allSettled(this.#drains.map((drain) => drain.end(LAST_WORDS_MS)))
  }

  #drain(pipe: Pipe, onData: (data: Uint8Array) => Promise<void>): PipeDrain {
    const drain = new PipeDrain(pipe, onData)
    this.#drains.push(drain)
    return drain
  }

  /** Starts a program with pipes for its output: the first for stdout, the last for stderr. */
  async #startWith<P extends readonly [Pipe, ...Pipe[]]>(
    program: 'agent' | 'init',
    pipes: P,
  ): Promise<[EnclaveProcess, P]> {
    try {
      const stderr = pipes[pipes.length - 1] ?? pipes[0]
      return [await this.#start(program, pipes[0].writeFd, stderr.writeFd), pipes]
    } catch (error) {
      for (const pipe of pipes) {
        pipe.closeWrite()
        pipe.read.destroy()
      }
      throw error
    }
  }

  async #start(program: 'agent' | 'init', stdout: number, stderr: number): Promise<EnclaveProcess> {
    const start = startEnclave({
      root: this.#options.bundleRoot,
      signed: this.#options.bundle[program],
      configId: this.#configId,
      platform: this.#platform,
      stdout,
      stderr,
    })
    this.#starts.push(start)
    return await start
  }

  async #configure(
    calls: Pick<AgentClient, 'configure'> | Pick<InitClient, 'configure'>,
    program: 'agent' | 'init',
  ): Promise<void> {
    try {
      await calls.configure({
        initData: this.#options.initData,
        manifest: manifestBytes(this.#options.bundle[program].manifest),
      })
    } catch (cause) {
      if ((cause as { code?: string }).code !== 'TTRPC_CLOSED') throw cause
      throw new CodedError(
        'ENCLAVE_START_FAILED',
        `the ${program} enclave ended before it was ready`,
        { cause },
      )
    }
  }
}
