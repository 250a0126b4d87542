import { constants } from 'node:os'
import type { CommandContext, Outcome } from '#lib/command'
import { CodedError } from '#lib/errors'
import type { JobEvent, RunJob } from '../job.ts'
import type { StartedJob } from '../start-job.ts'
import { JobProgress } from './job-progress.ts'
import { errorOf } from './shared.ts'

/** Signals that end this command where there is no program to get them. */
const ENDING = ['SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGTERM'] as const
const OTHERS = ['SIGUSR1', 'SIGUSR2', 'SIGWINCH', 'SIGCONT'] as const

/** What is not true of a scratch in memory. */
const ON_DISK =
  'scratch on disk: encrypted there, but its loop device shows it to root of this machine; --scratch tmpfs does not'

/**
 * A `run` whose supervisor was started, followed to its end. As docker: once the container runs, its
 * program gets the signals of this command; before that, an interrupt gives the start up.
 */
export class FollowedRun {
  readonly #context: CommandContext
  readonly #started: StartedJob
  readonly #job: RunJob
  #running = false
  #caught: NodeJS.Signals | undefined

  constructor(context: CommandContext, started: StartedJob, job: RunJob) {
    this.#context = context
    this.#started = started
    this.#job = job
  }

  /** True once the container's program runs or has run. */
  get started(): boolean {
    return this.#running && this.#caught === undefined
  }

  /** Resolves when the command has nothing more to do: detached, or the container has ended. */
  async end(): Promise<Outcome> {
    const stopForwarding = this.#forwardSignals()
    const progress = new JobProgress(this.#context)
    try {
      for await (const event of this.#started.events) {
        const outcome = await this.#follow(event, progress)
        if (outcome !== undefined) return outcome
      }
      throw new CodedError('SUPERVISOR_LOST', 'the supervisor ended without a word')
    } catch (error) {
      progress.fail()
      throw error
    } finally {
      stopForwarding()
      this.#started.detach()
    }
  }

  async #follow(event: JobEvent, progress: JobProgress): Promise<Outcome | undefined> {
    const { record } = this.#job
    switch (event.event) {
      case 'progress':
        progress.show(event)
        return undefined
      case 'started':
        this.#running = true
        progress.end()
        if (event.record.mounts.some(({ kind }) => kind === 'disk')) this.#context.note(ON_DISK)
        // given up just before: what has started is being ended
        if (this.#job.attach || this.#caught !== undefined) return undefined
        return { document: { id: record.id, name: record.name }, text: record.id }
      case 'output':
        await write(event)
        return undefined
      case 'exit':
        if (this.#caught !== undefined) throw this.#interrupted(this.#caught)
        return outcomeOf(event.record)
      case 'failed':
        if (this.#caught !== undefined) throw this.#interrupted(this.#caught)
        throw errorOf(event)
      default:
        return undefined
    }
  }

  #interrupted(signal: NodeJS.Signals): Error {
    const error = new CodedError('INTERRUPTED', `interrupted by ${signal}`)
    return Object.assign(error, { exitCode: 128 + constants.signals[signal] })
  }

  #forwardSignals(): () => void {
    const order = (signal: NodeJS.Signals, ending: boolean): void => {
      if (this.#running) {
        this.#started.order({ op: 'signal', signal: constants.signals[signal] })
      } else if (ending) {
        this.#caught ??= signal
        this.#started.order({ op: 'cancel' })
      }
    }
    const handlers = [...ENDING, ...OTHERS].map((name, i) => {
      const handler = (): void => order(name, i < ENDING.length)
      process.on(name, handler)
      return [name, handler] as const
    })
    // it came before there was a supervisor to tell
    if (this.#context.signal.aborted) order(signalOf(this.#context.signal.reason), true)
    return () => {
      for (const [name, handler] of handlers) process.off(name, handler)
    }
  }
}

function signalOf(reason: unknown): NodeJS.Signals {
  return String((reason as Error).message).includes('SIGTERM') ? 'SIGTERM' : 'SIGINT'
}

// A container that an enclave ended is a failure of ours, not a result of its program.
function outcomeOf(record: {
  readonly exitCode?: number
  readonly code?: string
  readonly message?: string
}): Outcome {
  const exitCode = record.exitCode ?? 125
  if (record.code === undefined) return { exitCode }
  const error = new CodedError(record.code, record.message ?? 'the container was ended')
  throw Object.assign(error, { exitCode: exitCode === 0 ? 125 : exitCode })
}

async function write(event: Extract<JobEvent, { event: 'output' }>): Promise<void> {
  const stream = event.stream === 'stdout' ? process.stdout : process.stderr
  const data = Buffer.from(event.data, 'base64')
  if (!stream.write(data)) await new Promise<void>((resolve) => stream.once('drain', resolve))
}
