import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { descendants, podProcesses } from '../test/support/pod-processes.ts'
import type { World } from '../test/support/world.ts'
import type { Victim } from './chaos-plan.ts'

/** One `enclave-cc run` that is not meant to end well. Disposing of it ends the command. */
export class ChaosRun implements AsyncDisposable {
  readonly command: ChildProcess
  /** True once the program's first line has come; false if the command ended before. */
  readonly running: Promise<boolean>
  /** Exit code of the command. */
  readonly ended: Promise<number>
  stderr = ''

  constructor(world: World, image: string) {
    this.command = world.start(['run', '--rm', image])
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

  /**
   * Kills a victim for good and says whom: the command itself, if it has not started the victim yet.
   * While there is no container yet, what init runs to make it stands for it.
   */
  kill(victim: Victim): Victim | 'command' {
    const command = this.command.pid ?? 0
    const pod = podProcesses(command)
    const container = pod.init === undefined ? undefined : descendants(pod.init).at(0)
    const pid = victim === 'container' ? container : pod[victim]
    try {
      process.kill(pid ?? command, 'SIGKILL')
    } catch {
      // ended by itself in between
    }
    return pid === undefined ? 'command' : victim
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.command.exitCode === null && this.command.signalCode === null) {
      this.command.kill('SIGKILL')
      await this.ended
    }
  }
}
