import type { Tee } from '#lib/attest'
import {
  type AgentPin,
  createInitiator,
  type EvidenceForm,
  type Initiator,
  wipePayload,
} from '#lib/handover'
import { parseJson } from '#lib/json'
import { parseLaunchConfig, parseScratchPolicy } from '#lib/launch'
import type { InitHandlers } from '#protocol/agent'
import { EnclaveClock } from '../handover/enclave-clock.ts'
import { evidenceForm } from '../handover/evidence-form.ts'
import { rehearseHandover } from '../handover/rehearsal.ts'
import type { Later } from '../later.ts'
import type { Container, ContainerOptions } from './container.ts'
import { startContainer } from './container.ts'
import { checkOwnIdentity } from './identity.ts'
import { InitError } from './init-error.ts'
import { Workspace, type WorkspaceOptions } from './workspace.ts'

/** What the service needs of its surroundings. */
export interface InitServiceOptions
  extends Omit<ContainerOptions, 'layers' | 'config' | 'workspace' | 'signal'>,
    Omit<WorkspaceOptions, 'signal'> {
  readonly tee: Tee
  /** Path of the program for a handover with quotes. */
  readonly quoteProgram: string
  /** Absent: nothing is done ahead. */
  readonly later?: Later
}

/** The init enclave's calls, and its end. */
export interface InitService {
  readonly handlers: InitHandlers
  /** Ends the container and takes everything down. May be called at any time, and again. */
  close(): Promise<void>
  /** Resolves when `shutdown` was called and everything is down. */
  readonly finished: Promise<void>
}

/** One life: each call is allowed in one state and leads to the next; nothing leads back. */
type State =
  | { readonly at: 'new' | 'busy' | 'failed' | 'closed' }
  | { readonly at: 'configured'; readonly form: EvidenceForm; readonly peer: AgentPin }
  | { readonly at: 'handover'; readonly initiator: Initiator }
  | { readonly at: 'started'; readonly container: Container }

const DOWN = { at: 'closed' } as const
const NOTHING = { layers: [], config: new Uint8Array(0), scratch: new Uint8Array(0) } as const

/**
 * Creates the service of one init: configure → begin → handover → start → wait; prepareScratch once
 * between configure and start, beside them.
 */
export function createInitService(options: InitServiceOptions): InitService {
  let state: State = { at: 'new' }
  let work: Promise<unknown> = Promise.resolve()
  let closing: Promise<void> | undefined
  const finished = Promise.withResolvers<void>()
  const ending = new AbortController()
  const workspace = new Workspace({ ...options, signal: ending.signal })

  /** Runs one step; whatever goes wrong, this init is of no use any more. */
  async function step<T>(run: () => Promise<readonly [State, T]>): Promise<T> {
    state = { at: 'busy' }
    const running = run()
    work = running.catch(() => {})
    try {
      const [next, result] = await running
      // While it ran, the host may have shut us down; `close` waits for `work` and finds it.
      if ((state as State).at !== 'closed') state = next
      return result
    } catch (error) {
      if ((state as State).at !== 'closed') state = { at: 'failed' }
      throw error
    }
  }

  let rehearsal: ReturnType<Later> | undefined
  let container: Container | undefined
  let initiator: Initiator | undefined

  async function start({ result }: Initiator): Promise<readonly [State, { pid: number }]> {
    if (result === undefined) throw outOfOrder('start')
    try {
      const config = parseLaunchConfig(result.config)
      if (config.containerId !== result.containerId) {
        throw new InitError('INIT_IDENTITY', 'starting: the launch is of another container')
      }
      const scratch = parseScratchPolicy(parseJson(result.scratch), 'handover.scratch')
      if (scratch.kind !== config.scratch.kind || scratch.size !== config.scratch.size) {
        throw new InitError('INIT_IDENTITY', 'starting: the launch has another scratch')
      }
      container = await startContainer({
        ...options,
        workspace,
        layers: result.layers,
        config,
        signal: ending.signal,
      })
      return [{ at: 'started', container }, { pid: container.pid }]
    } finally {
      if (container === undefined) wipePayload(result)
    }
  }

  async function close(): Promise<void> {
    options.onClosing?.()
    rehearsal?.cancel()
    state = DOWN
    ending.abort()
    await work
    // Handed over, but never started.
    if (container === undefined) initiator?.close()
    await container?.close()
    await workspace.close()
  }

  const closeOnce = (): Promise<void> => {
    closing ??= close()
    return closing
  }

  const handlers: InitHandlers = {
    async configure(request) {
      if (state.at !== 'new') throw outOfOrder('configure')
      return step(async () => {
        const { manifest, pin: peer } = await checkOwnIdentity(options.tee, request)
        const clock = new EnclaveClock(manifest.builtAt, () => performance.now())
        const form = await evidenceForm(options.tee, manifest, clock, options.quoteProgram)
        // Whoever waits for a container gets on without it.
        rehearsal = options.later?.(() => rehearseHandover(NOTHING).catch(() => {}))
        return [{ at: 'configured', form, peer }, {}]
      })
    },
    async prepareScratch({ size }) {
      if (state.at === 'new' || state.at === 'started' || state.at === 'closed') {
        throw outOfOrder('prepareScratch')
      }
      await workspace.prepare(Number(size))
      return {}
    },
    async begin({ launchId }) {
      rehearsal?.cancel()
      if (state.at !== 'configured') throw outOfOrder('begin')
      const { form, peer } = state
      return step(async () => {
        if (launchId.length !== 32) throw outOfOrder('begin')
        initiator = createInitiator({ form, launchId, peer })
        return [{ at: 'handover', initiator }, { message: await initiator.begin() }]
      })
    },
    async handover({ message }) {
      if (state.at !== 'handover') throw outOfOrder('handover')
      const current = state
      return step(async () => [current, { message: await current.initiator.handle(message) }])
    },
    async start() {
      if (state.at !== 'handover') throw outOfOrder('start')
      const current = state
      return step(() => start(current.initiator))
    },
    async wait() {
      if (container === undefined) throw outOfOrder('wait')
      const { code, signal, reason, message, damaged } = await container.exited
      return { exitCode: code, signal, code: reason, message, damaged }
    },
    async kill({ signal, all }) {
      if (container === undefined) throw outOfOrder('kill')
      if (signal < 0 || signal > 64) throw new InitError('INIT_STATE', 'killing: no such signal')
      await container.kill(signal, all)
      return {}
    },
    async shutdown() {
      await closeOnce()
      // Later than this answer, so that it can be written.
      setImmediate(finished.resolve)
      return {}
    },
  }
  return { handlers, close: closeOnce, finished: finished.promise }
}

function outOfOrder(call: string): InitError {
  return new InitError('INIT_STATE', `calling ${call}: not expected now`)
}
