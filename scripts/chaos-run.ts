import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { descendants, podProcesses } from '../test/support/pod-processes.ts'
import { POOL_ON, readySpares, statusOf } from '../test/support/spares.ts'
import type { World } from '../test/support/world.ts'
import type { Round, Victim } from './chaos-plan.ts'

/** One `enclave-cc run` that is not meant to end well. Disposing of it ends the command. */
export class ChaosRun implements AsyncDisposable {
  readonly #world: World
  readonly command: ChildProcess
  /** True once the program's first line has come; false if the command ended before. */
  readonly running: Promise<boolean>
  /** Exit code of the command. */
  readonly ended: Promise<number>
  stderr = ''

  constructor(world: World, image: string, { scratch, pool }: Pick<Round, 'scratch' | 'pool'>) {
    this.#world = world
    const size = scratch === 'disk' ? ':64m' : ''
    this.command = world.start(
      ['run', '--rm', '--scratch', `${scratch}${size}`, image],
      pool ? POOL_ON : {},
    )
    const { promise, resolve } = Promise.withResolvers<boolean>()
    this.running = promise
    this.command.stdout?.once('data', () => resolve(true))
    this.command.stderr?.on('data', (chunk) => {
      this.stderr += String(chunk)
    })
    this.ended = once(this.command, 'close').then(([code]) => {
      resolve(false)
      return (code as number | null) ?? 137
    })
  }

  /** Waits until a spare waits for the next container. */
  async spareReady(): Promise<void> {
    await readySpares(this.#world, 1)
  }

  /**
   * Kills a victim for good and says whom: the command itself, if the victim is not there (yet, or with this
   * scratch). While there is no container yet, a helper that init runs to make it is killed in its place.
   */
  async kill({ victim, pick }: Round): Promise<Victim | 'command'> {
    const command = this.command.pid ?? 0
    const found = await this.#find(victim, pick)
    try {
      process.kill(found?.pid ?? command, 'SIGKILL')
    } catch {
      // ended by itself in between
    }
    return found?.victim ?? 'command'
  }

  async #find(
    victim: Victim,
    pick: number,
  ): Promise<{ readonly victim: Victim; readonly pid: number } | undefined> {
    const is = (victim: Victim, pid: number | undefined) =>
      pid === undefined ? undefined : { victim, pid }
    if (victim === 'spare') {
      const { pool } = await statusOf(this.#world)
      const pids = pool.spares.flatMap(({ processes }) => {
        const { pid = 0 } = processes.find(({ name }) => name === 'supervisor') ?? {}
        return [pid, ...descendants(pid)]
      })
      return is(victim, pids[pick % pids.length])
    }
    const pod = podProcesses(this.command.pid ?? 0)
    if (victim !== 'container' && victim !== 'helper') return is(victim, pod[victim])
    const { init } = pod
    if (init === undefined) return undefined
    const below = descendants(init)
    const own = pidNamespace(init)
    const inside = below.find((each) => ![own, ''].includes(pidNamespace(each)))
    const beside = below.filter((each) => pidNamespace(each) === own)
    if (victim === 'container' && inside !== undefined) return is(victim, inside)
    return is('helper', victim === 'container' ? beside.at(-1) : beside[pick % beside.length])
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.command.exitCode === null && this.command.signalCode === null) {
      this.command.kill('SIGKILL')
      await this.ended
    }
  }
}

function pidNamespace(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/ns/pid`)
  } catch {
    return ''
  }
}
