import { setTimeout as delay } from 'node:timers/promises'
import { CodedError } from '#lib/errors'
import type { ControlHandlers } from './control.ts'
import type { ContainerRecord } from './record.ts'
import type { ContainerStore } from './store.ts'

// Init knows it: the image's StopSignal, TERM where it names none.
const STOP = 0
const KILL = 9
/** How long a container may take to end after KILL before its enclave is ended instead. */
const KILL_MS = 10_000

/** What can be done to a container whose program runs. */
export interface RunningProgram {
  kill(signal: number, all: boolean): Promise<void>
  /** Ends the enclave that holds the container, where the container itself cannot be ended. */
  abandon(): Promise<void>
}

/**
 * One container between its record and its end: keeps the record, and answers those who want it
 * signalled, stopped or waited for, at each moment of its life.
 */
export class ContainerLife implements ControlHandlers {
  /** Aborted where the container is to end; while it starts, that gives the start up. */
  readonly signal: AbortSignal
  /** Aborted when its program has ended. */
  readonly over: AbortSignal
  readonly #abort: AbortController
  readonly #store: ContainerStore
  readonly #over = new AbortController()
  readonly #gone = Promise.withResolvers<number>()
  #record: ContainerRecord
  #program: RunningProgram | undefined
  #stopping: Promise<void> | undefined
  #cancelled = false

  constructor(store: ContainerStore, record: ContainerRecord, abort: AbortController) {
    this.#store = store
    this.#record = record
    this.#abort = abort
    this.signal = abort.signal
    this.over = this.#over.signal
  }

  get record(): ContainerRecord {
    return this.#record
  }

  /** True once there was a program, until the end of this life. */
  get started(): boolean {
    return this.#record.state !== 'created'
  }

  /** True if whoever asked for the container took that back. */
  get cancelled(): boolean {
    return this.#cancelled
  }

  /** Changes the record, in memory and on disk. */
  update(change: Partial<ContainerRecord>): void {
    this.#record = { ...this.#record, ...change }
    this.#store.save(this.#record)
  }

  /** From now on there is a program; an abort stops it as `stop` does. */
  run(program: RunningProgram, change: Partial<ContainerRecord>): void {
    this.#program = program
    this.update({ ...change, state: 'running', startedAt: new Date().toISOString() })
    const end = (): void => void this.stop(this.#record.stopTimeout)
    if (this.signal.aborted) end()
    else this.signal.addEventListener('abort', end, { once: true })
  }

  /** Its program has ended. */
  end(): void {
    this.#over.abort()
  }

  /** Nothing is left of it; who waited learns its exit code. */
  leave(exitCode: number): void {
    this.#over.abort()
    this.#gone.resolve(exitCode)
  }

  /** Gives the start up, or ends what was started meanwhile: nobody wants it any more. */
  cancel(): void {
    this.#cancelled = true
    this.#abort.abort(new CodedError('INTERRUPTED', 'the command that asked for it is gone'))
  }

  /** A signal from the command that started it; before its program runs there is nobody to get it. */
  deliver(signal: number): void {
    this.#program?.kill(signal, false).catch(() => {})
  }

  async kill(signal: number): Promise<void> {
    if (this.#program === undefined) {
      const found = `${this.#record.name} is being started: there is nothing to signal yet`
      throw new CodedError('CONTAINER_NOT_RUNNING', found)
    }
    await this.#program.kill(signal, false)
  }

  async stop(timeout: number): Promise<void> {
    const program = this.#program
    if (program === undefined) {
      const found = `${this.#record.name} was stopped while it was being started`
      this.#abort.abort(new CodedError('INTERRUPTED', found))
    } else if (timeout === 0) await this.#kill(program)
    else this.#stopping ??= this.#terminate(program, timeout)
    await this.#gone.promise
  }

  async wait(): Promise<number> {
    return await this.#gone.promise
  }

  async #terminate(program: RunningProgram, timeout: number): Promise<void> {
    await program.kill(STOP, false).catch(() => {})
    if (await this.#overWithin(timeout * 1000)) return
    await this.#kill(program)
  }

  async #kill(program: RunningProgram): Promise<void> {
    await program.kill(KILL, true).catch(() => {})
    if (!(await this.#overWithin(KILL_MS))) await program.abandon()
  }

  async #overWithin(ms: number): Promise<boolean> {
    try {
      await delay(ms, undefined, { signal: this.over })
      return false
    } catch {
      return true
    }
  }
}
