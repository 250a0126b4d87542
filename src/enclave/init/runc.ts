import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runcError } from './runc-log.ts'

/** Where runc keeps what it needs; all of it private to init. */
export interface RuncOptions {
  /** The measured program. */
  readonly program: string
  /** A private, empty directory. */
  readonly directory: string
  readonly id: string
  /** Directory with `config.json`. */
  readonly bundle: string
  /** Whether the container writes to descriptors 1 and 2 of this process, or nowhere. */
  readonly output: 'inherit' | 'ignore'
  /** Kills `run` where it is. */
  readonly signal?: AbortSignal
}

/** runc for one container (docs/rootfs.md): every command runs here, inside the private mounts. */
export class Runc {
  readonly #options: RuncOptions

  constructor(options: RuncOptions) {
    this.#options = options
  }

  /**
   * Creates the container and lets its program run; one command, since each costs ten milliseconds.
   * Returns the pid of its first process, which may have ended by then. Throws InitError.
   */
  async run(): Promise<number> {
    const { bundle, id, directory, output, signal } = this.#options
    const pidFile = join(directory, 'pid')
    const args = ['run', '--detach', '--bundle', bundle, '--pid-file', pidFile, id]
    await this.#command(args, output, signal)
    const pid = existsSync(pidFile) ? readFileSync(pidFile, 'utf8') : ''
    if (!/^[1-9]\d*$/.test(pid)) throw runcError(new Uint8Array(0))
    return Number(pid)
  }

  /** Signals every process of the container. */
  async killAll(signal: number): Promise<void> {
    await this.#command(['kill', '--all', this.#options.id, String(signal)], 'ignore')
  }

  /** Kills what is left and removes state and cgroups. Never fails: there may be nothing. */
  async remove(): Promise<void> {
    await this.#command(['delete', '--force', this.#options.id], 'ignore').catch(() => {})
  }

  async #command(
    args: readonly string[],
    output: 'inherit' | 'ignore',
    signal?: AbortSignal,
  ): Promise<void> {
    const { program, directory } = this.#options
    const log = join(directory, `${args[0]}.log`)
    const state = join(directory, 'state')
    const globals = ['--root', state, '--log', log, '--log-format', 'json']
    // No pipes: what `run` leaves behind would hold them open.
    const child = spawn(program, [...globals, ...args], {
      stdio: ['ignore', output, output],
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin' },
      cwd: '/',
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    })
    const code = await new Promise<number | null>((resolve) => {
      child.once('error', () => {
        // Interrupted, it has yet to end; never started, there is nothing to wait for.
        if (child.pid === undefined) resolve(null)
      })
      child.once('exit', (status) => resolve(status))
    })
    if (code !== 0) throw runcError(existsSync(log) ? readFileSync(log) : new Uint8Array(0))
  }
}
