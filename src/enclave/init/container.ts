import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { HandoverLayer } from '#lib/handover'
import { type LaunchConfig, runtimeSpec, signalNumber } from '#lib/launch'
import { readInRoot } from '#platform/in-root'
import type { ExitStatus, Reaper } from '#platform/process'
import { MAX_ACCOUNTS_BYTES, resolveUser } from './accounts.ts'
import { InitError } from './init-error.ts'
import { killAllButKeepers } from './keeper.ts'
import { openLayers } from './open-layers.ts'
import { mountRootfs, type Rootfs } from './rootfs.ts'
import { Runc } from './runc.ts'
import type { ServePool } from './serve-pool.ts'
import { damagedBy, tamperedMessage, troubleError } from './tampering.ts'
import { placeVolumes } from './volume-places.ts'
import type { Place, Workspace } from './workspace.ts'

/** How a container ended. */
export interface ContainerExit extends ExitStatus {
  /** `ROOTFS_TAMPERED` or `INTERNAL` where init ended it, else `''`. */
  readonly reason: '' | 'ROOTFS_TAMPERED' | 'INTERNAL'
  /** One sentence for the log, or `''`. */
  readonly message: string
  /** Of `ROOTFS_TAMPERED`: the sealed file that was damaged, or `scratch`; else `''`. */
  readonly damaged: string
}

/** What `startContainer` needs. */
export interface ContainerOptions {
  readonly reaper: Reaper
  readonly pool: ServePool
  /** Opened with what the launch says, and closed with the container. */
  readonly workspace: Workspace
  /** Path of the measured runc. */
  readonly runc: string
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
  /** Called when everything starts to be taken down, for a watchdog. */
  readonly onClosing?: () => void
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

/**
 * Mounts the root filesystem, creates the container and starts its program. Throws InitError,
 * SealedError or LaunchError; nothing is left then.
 */
export async function startContainer(options: ContainerOptions): Promise<Container> {
  const container = new RunningContainer(options)
  try {
    await container.start()
    return container
  } catch (error) {
    // What taking it down meets is no reason of this.
    const found = troubleError(options.pool, options.layers, error) ?? error
    // Whoever asked for the start waits for its answer, and has no limit for it.
    options.onClosing?.()
    await container.close()
    throw found
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

class RunningContainer implements Container {
  readonly #options: ContainerOptions
  #runc: Runc | undefined
  #place: Place | undefined
  #rootfs: Rootfs | undefined
  #closing: Promise<void> | undefined
  readonly #trouble = new AbortController()
  #ended = false
  pid = 0
  exited: Promise<ContainerExit> = Promise.reject(new Error('not started'))

  constructor(options: ContainerOptions) {
    this.exited.catch(() => {})
    this.#options = options
  }

  async start(): Promise<void> {
    const { pool, reaper, workspace, config } = this.#options
    // What is met before there is a pid to kill ends the start where it is.
    pool.onTrouble(() => {
      this.#kill()
      this.#trouble.abort()
    })
    const place = await workspace.open(config.scratch)
    this.#place = place
    this.#rootfs = this.#mount(place)
    this.#writeBundle(place, this.#rootfs.path)
    const runc = this.#runtime(place)
    // What was met earlier was said to nobody: a scratch may have waited long for this.
    if (pool.trouble !== undefined) throw new Error('the root filesystem is not sound')
    this.#runc = runc
    this.pid = await runc.run()
    this.exited = reaper.wait(this.pid).then((status) => this.#exit(status))
    if (pool.trouble !== undefined) this.#kill()
  }

  async kill(signal: number, all: boolean): Promise<void> {
    if (this.#ended) return
    const number = signal === 0 ? signalNumber(this.#options.config.stopSignal) : signal
    if (number === undefined) throw new InitError('INIT_STATE', 'killing: no such signal')
    if (all && number !== SIGKILL) {
      await this.#runc?.killAll(number).catch((error: unknown) => {
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
    if (this.#runc !== undefined) {
      this.#kill()
      if (this.pid !== 0) await this.exited
      await this.#runc.remove()
      // A runtime that was interrupted may have left a process that it had not noted down yet.
      killAllButKeepers()
    }
    this.#place?.scratch.abandon()
    this.#rootfs?.unmount()
    await this.#options.workspace.close()
  }

  #mount(place: Place): Rootfs {
    const { pool, spool, cache, layers, config } = this.#options
    const names = layers.map(({ file }) => file)
    if (JSON.stringify(names) !== JSON.stringify(config.layers.map(({ file }) => file))) {
      throw new InitError(
        'ROOTFS_MOUNT_FAILED',
        'mounting: the launch names other layers than keys',
      )
    }
    return mountRootfs({ ...place, files: openLayers({ spool, cache }, layers), pool })
  }

  #runtime({ ground }: Place): Runc {
    const { runc: program, config, signal } = this.#options
    return new Runc({
      program,
      directory: ground.at('c'),
      id: config.containerId,
      bundle: ground.at('c'),
      output: config.stdio === 'plain' ? 'inherit' : 'ignore',
      signal: AbortSignal.any([this.#trouble.signal, ...(signal === undefined ? [] : [signal])]),
    })
  }

  #writeBundle({ ground, scratch }: Place, rootfs: string): void {
    const { config, oomScoreAdj = 0 } = this.#options
    const at = (name: string): string => join(ground.at('c'), name)
    mkdirSync(ground.at('c'), { mode: 0o700 })
    const user = resolveUser(config.user, {
      passwd: accountsIn(rootfs, 'etc/passwd'),
      group: accountsIn(rootfs, 'etc/group'),
    })
    const paths = {
      rootfs,
      hosts: at('hosts'),
      resolvConf: at('resolv.conf'),
      hostname: at('hostname'),
      volumes: placeVolumes(rootfs, config.volumes, scratch),
    }
    // Readable inside, where they are bound read-only over what the image has there.
    writeFileSync(paths.hosts, config.hosts, { mode: 0o644 })
    writeFileSync(paths.resolvConf, config.resolvConf, { mode: 0o644 })
    writeFileSync(paths.hostname, `${config.hostname}\n`, { mode: 0o644 })
    const spec = runtimeSpec(config, user, paths, {
      architecture: process.arch === 'arm64' ? 'arm64' : 'x64',
      oomScoreAdj,
      noswap: ground.noswap,
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
    const { pool, layers } = this.#options
    const { trouble } = pool
    if (trouble?.kind === 'tampered') {
      const damaged = damagedBy(trouble, layers)
      return { ...status, reason: 'ROOTFS_TAMPERED', message: tamperedMessage(trouble), damaged }
    }
    const ended = { ...status, damaged: '' }
    if (trouble?.kind === 'defect') {
      return { ...ended, reason: 'INTERNAL', message: 'serving the root filesystem failed' }
    }
    return { ...ended, reason: '', message: '' }
  }
}
