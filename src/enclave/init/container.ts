import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HandoverLayer } from '#lib/handover'
import { type LaunchConfig, runtimeSpec, signalNumber } from '#lib/launch'
import { readInRoot } from '#platform/in-root'
import { MOUNT_FLAGS, type Mounts } from '#platform/mount'
import { type ExitStatus, killChildren, type Reaper } from '#platform/process'
import { MAX_ACCOUNTS_BYTES, resolveUser } from './accounts.ts'
import { InitError } from './init-error.ts'
import { mountMemory } from './memory-mount.ts'
import { openLayers } from './open-layers.ts'
import { mountRootfs, type Rootfs } from './rootfs.ts'
import { Runc } from './runc.ts'
import type { ServePool, ServeTrouble } from './serve-pool.ts'

/** How a container ended. */
export interface ContainerExit extends ExitStatus {
  /** `ROOTFS_TAMPERED` or `INTERNAL` where init ended it, else `''`. */
  readonly reason: '' | 'ROOTFS_TAMPERED' | 'INTERNAL'
  /** One sentence for the log, or `''`. */
  readonly message: string
}

/** What `startContainer` needs. */
export interface ContainerOptions {
  readonly mounts: Mounts
  readonly reaper: Reaper
  readonly pool: ServePool
  /** Path of the measured runc. */
  readonly runc: string
  /** Directory that gets a private tmpfs with all of the container's mounts; made if missing. */
  readonly base: string
  /** Directory of the sealed layers of this pod alone. */
  readonly spool: string
  /** Directory of those that the node keeps for all pods. */
  readonly cache: string
  /** Keys and roots, base layer first; the keys are wiped when they are no longer needed. */
  readonly layers: readonly HandoverLayer[]
  readonly config: LaunchConfig
  /** How readily the kernel kills the container where memory is short; default 0. */
  readonly oomScoreAdj?: number
  /** Calls off a start that is under way. */
  readonly signal?: AbortSignal
}

/** A container that runs or has run. */
export interface Container {
  readonly pid: number
  /** Resolves when its first process has ended; by then no other process of it lives. */
  readonly exited: Promise<ContainerExit>
  /**
   * Signals its first process, or all. Signal 0 is the one that its image wants to be stopped with.
   * Nothing happens once it has ended.
   */
  kill(signal: number, all: boolean): Promise<void>
  /** Ends it if it runs, then takes everything down in order. May be called again. */
  close(): Promise<void>
}

const SIGKILL = 9
const { nosuid, nodev } = MOUNT_FLAGS

/**
 * Mounts the root filesystem, creates the container and starts its program. Throws InitError,
 * SealedError or LaunchError; nothing is left then.
 */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const { mounts, base } = options
  mkdirSync(base, { recursive: true, mode: 0o700 })
  // Small: what grows (the scratch) is a filesystem of its own.
  const data = 'mode=700,size=16m'
  const noswap = mountMemory(mounts, { source: 'init', target: base, flags: nosuid | nodev, data })
  const container = new RunningContainer(options, noswap)
  try {
    await container.start()
    return container
  } catch (error) {
    await container.close()
    throw tampered(options.pool, error) ?? error
  }
}

/** An accounts file of the image. Throws InitError where there is something else in its place. */
function accountsIn(rootfs: string, path: string): Uint8Array | undefined {
  try {
    return readInRoot(rootfs, path, MAX_ACCOUNTS_BYTES)
  } catch (cause) {
    const { code } = cause as { code?: string }
    const found = `/${path} of the image cannot be read (${code})`
    throw new InitError('LAUNCH_USER_UNKNOWN', `resolving the user: ${found}`, { cause })
  }
}

/** The error of a start that failed because a chunk was not genuine, whichever step met it first. */
function tampered(pool: ServePool, cause: unknown): InitError | undefined {
  const { trouble } = pool
  if (trouble?.kind !== 'tampered') return undefined
  return new InitError('ROOTFS_TAMPERED', tamperedMessage(trouble), { cause })
}

function troubleError(trouble: ServeTrouble): InitError {
  return trouble.kind === 'tampered'
    ? new InitError('ROOTFS_TAMPERED', tamperedMessage(trouble))
    : new InitError('ROOTFS_MOUNT_FAILED', 'serving the root filesystem failed', {
        cause: trouble.cause,
      })
}

function tamperedMessage({ file, chunk }: { file: string; chunk: number }): string {
  return `reading the root filesystem: ${file}, chunk ${chunk} is not genuine`
}

class RunningContainer implements Container {
  readonly #options: ContainerOptions
  readonly #runc: Runc
  readonly #noswap: boolean
  #rootfs: Rootfs | undefined
  #closing: Promise<void> | undefined
  #created = false
  #ended = false
  pid = 0
  exited: Promise<ContainerExit> = Promise.reject(new Error('not started'))

  constructor(options: ContainerOptions, noswap: boolean) {
    this.exited.catch(() => {})
    this.#noswap = noswap
    this.#options = options
    this.#runc = new Runc({
      program: options.runc,
      directory: join(options.base, 'c'),
      id: options.config.containerId,
      bundle: join(options.base, 'c'),
      output: options.config.stdio === 'plain' ? 'inherit' : 'ignore',
      ...(options.signal === undefined ? {} : { signal: options.signal }),
    })
  }

  async start(): Promise<void> {
    const { pool, reaper } = this.#options
    await pool.ready()
    this.#rootfs = await this.#mount()
    this.#writeBundle(this.#rootfs.path)
    this.#created = true
    this.pid = await this.#runc.create()
    this.exited = reaper.wait(this.pid).then((status) => this.#exit(status))
    // What was met while the runtime prepared it is reason enough not to let the program begin.
    if (pool.trouble !== undefined) throw troubleError(pool.trouble)
    await this.#runc.start().catch(async (error: unknown) => {
      // The program may have failed before `start` looked; its exit says more then.
      if (!this.#ended) throw error
    })
    const { trouble } = pool
    if (trouble !== undefined) this.#kill()
  }

  async kill(signal: number, all: boolean): Promise<void> {
    if (this.#ended) return
    const number = signal === 0 ? signalNumber(this.#options.config.stopSignal) : signal
    if (number === undefined) throw new InitError('INIT_STATE', 'killing: no such signal')
    if (all && number !== SIGKILL) {
      await this.#runc.killAll(number).catch((error: unknown) => {
        // It may have ended while the runtime looked.
        if (!this.#ended) throw error
      })
    }
    // Killing the first process of a pid namespace kills the others too.
    else process.kill(this.pid, number)
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const { mounts, base, pool } = this.#options
    if (this.#created) {
      this.#kill()
      if (this.pid !== 0) await this.exited
      await this.#runc.remove()
      // A runtime that was interrupted may have left a process that it had not noted down yet.
      killChildren()
    }
    if (this.#rootfs === undefined) await pool.end()
    else await this.#rootfs.unmount()
    try {
      mounts.unmount(base)
    } catch {
      mounts.unmount(base, { detach: true })
    }
    rmSync(base, { recursive: true, force: true })
  }

  async #mount(): Promise<Rootfs> {
    const { mounts, base, pool, spool, cache, layers, config } = this.#options
    const names = layers.map(({ file }) => file)
    if (JSON.stringify(names) !== JSON.stringify(config.layers.map(({ file }) => file))) {
      throw new InitError(
        'ROOTFS_MOUNT_FAILED',
        'mounting: the launch names other layers than keys',
      )
    }
    const files = openLayers({ spool, cache }, layers)
    return mountRootfs({
      mounts,
      base,
      files,
      pool,
      scratchSize: config.scratch.size,
      onTrouble: () => this.#kill(),
    })
  }

  #writeBundle(rootfs: string): void {
    const { base, config, oomScoreAdj = 0 } = this.#options
    const at = (name: string): string => join(base, 'c', name)
    mkdirSync(join(base, 'c'), { mode: 0o700 })
    const user = resolveUser(config.user, {
      passwd: accountsIn(rootfs, 'etc/passwd'),
      group: accountsIn(rootfs, 'etc/group'),
    })
    const paths = {
      rootfs,
      hosts: at('hosts'),
      resolvConf: at('resolv.conf'),
      hostname: at('hostname'),
    }
    // Readable inside, where they are bound read-only over what the image has there.
    writeFileSync(paths.hosts, config.hosts, { mode: 0o644 })
    writeFileSync(paths.resolvConf, config.resolvConf, { mode: 0o644 })
    writeFileSync(paths.hostname, `${config.hostname}\n`, { mode: 0o644 })
    const spec = runtimeSpec(config, user, paths, {
      architecture: process.arch === 'arm64' ? 'arm64' : 'x64',
      oomScoreAdj,
      noswap: this.#noswap,
    })
    writeFileSync(at('config.json'), JSON.stringify(spec), { mode: 0o600 })
  }

  #kill(): void {
    if (this.pid === 0 || this.#ended) return
    try {
      process.kill(this.pid, SIGKILL)
    } catch {
      // ESRCH cannot be: it is our child and was not waited for. Nothing else can be done.
    }
  }

  #exit(status: ExitStatus): ContainerExit {
    this.#ended = true
    const { trouble } = this.#options.pool
    if (trouble?.kind === 'tampered') {
      return { ...status, reason: 'ROOTFS_TAMPERED', message: tamperedMessage(trouble) }
    }
    if (trouble?.kind === 'defect') {
      return { ...status, reason: 'INTERNAL', message: 'serving the root filesystem failed' }
    }
    return { ...status, reason: '', message: '' }
  }
}
