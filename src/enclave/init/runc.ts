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
  /** Kills `create` and `start` where they are. */
  readonly signal?: AbortSignal
}

/** runc for one container (docs/rootfs.md): every command runs here, inside the private mounts. */
export class Runc {
  readonly #options: RuncOptions

  constructor(options: RuncOptions) {
    this.#options = options
  }

  /** Creates the container; its first process waits for `start`. Returns its pid. Throws InitError. */
  async create(): Promise<number> {
    const { bundle, id, directory, output, signal } = this.#options
    const pidFile = join(directory, 'pid')
    await this.#run(['create', '--bundle', bundle, '--pid-file', pidFile, id], output, signal)
    const pid = readFileSync(pidFile, 'utf8')
    if (!/^[1-9]\d*$/.test(pid)) throw runcError(new Uint8Array(0))
    return Number(pid)
  }

  /** Lets the program run. Throws InitError. */
  async start(): Promise<void> {
    await this.#run(['start', this.#options.id], 'ignore', this.#options.signal)
  }

  /** Signals every process of the container. */
  async killAll(signal: number): Promise<void> {
    await this.#run(['kill', '--all', this.#options.id, String(signal)], 'ignore')
  }

  /** Kills what is left and removes state and cgroups. Never fails: there may be nothing. */
  async remove(): Promise<void> {
    await this.#run(['delete', '--force', this.#options.id], 'ignore').catch(() => {})
  }

  async #run(
    args: readonly string[],
    output: 'inherit' | 'ignore',
    signal?: AbortSignal,
  ): Promise<void> {
    const { program, directory } = this.#options
    const log = join(directory, `${args[0]}.log`)
    const state = join(directory, 'state')
    const globals = ['--root', state, '--log', log, '--log-format', 'json']
    // No pipes: what `create` leaves behind would hold them open.
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
