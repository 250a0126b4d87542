import type { ScratchPolicy } from '#lib/launch'
import { MAX_SCRATCH, MIN_SCRATCH } from '#lib/scratch'
import { Ground, type GroundOptions } from './ground.ts'
import { InitError } from './init-error.ts'
import {
  type DiskScratchOptions,
  mountDiskScratch,
  mountMemoryScratch,
  type Scratch,
} from './scratch.ts'

/** What a workspace needs. */
export interface WorkspaceOptions extends GroundOptions, DiskScratchOptions {}

/** The ground and, on it, the scratch that a launch wants. */
export interface Place {
  readonly ground: Ground
  readonly scratch: Scratch
}

/**
 * Where a container's root filesystem will be: it can be prepared before it is known what will run, and
 * is opened with what the launch says.
 */
export class Workspace {
  readonly #options: WorkspaceOptions
  #size = 0
  #ground: Promise<Ground> | undefined
  #disk: Promise<Scratch> | undefined
  #memory: Scratch | undefined
  #opened = false
  #closing: Promise<void> | undefined

  constructor(options: WorkspaceOptions) {
    this.#options = options
  }

  /**
   * Prepares an encrypted scratch of `size` bytes; resolves when it is there. The host says this, so it is
   * a guess and no more: `open` decides. Throws InitError `SCRATCH_UNAVAILABLE` or `ROOTFS_MOUNT_FAILED`,
   * as `open` will; `INIT_STATE` at the second call, and once `open` was called: a request that comes right
   * behind that of the start changes nothing.
   */
  async prepare(size: number): Promise<void> {
    if (this.#ground !== undefined || this.#opened || this.#closing !== undefined) {
      throw new InitError('INIT_STATE', 'preparing the scratch: not expected now')
    }
    if (!(Number.isSafeInteger(size) && size >= MIN_SCRATCH && size <= MAX_SCRATCH)) {
      throw new InitError('INIT_STATE', `preparing the scratch: ${MIN_SCRATCH} to ${MAX_SCRATCH}`)
    }
    this.#begin(size)
    await this.#ground
    await this.#disk
  }

  /**
   * The place that the launch wants. Throws InitError `SCRATCH_UNAVAILABLE`, or `INIT_STATE` if a scratch
   * of another size was prepared.
   */
  async open(policy: ScratchPolicy): Promise<Place> {
    this.#opened = true
    if (policy.kind === 'disk') {
      if (this.#ground === undefined) this.#begin(policy.size)
      else if (this.#size !== policy.size) {
        const found = `${this.#size} bytes were prepared, the launch wants ${policy.size}`
        throw new InitError('INIT_STATE', `opening the scratch: ${found}`)
      }
      // The ground's own error says more than that of what was to stand on it.
      const ground = await (this.#ground as Promise<Ground> | undefined)
      const scratch = await this.#disk
      if (ground === undefined || scratch === undefined) throw new TypeError('nothing was begun')
      return { ground, scratch }
    }
    await this.#dropDisk()
    this.#ground ??= Ground.open(this.#options)
    const ground = await this.#ground
    ground.clearScratch()
    this.#memory = mountMemoryScratch(ground, policy)
    return { ground, scratch: this.#memory }
  }

  /** Takes everything down; also when nothing, or half of it, was made. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  #begin(size: number): void {
    this.#size = size
    const ground = Ground.open(this.#options, size)
    this.#ground = ground
    this.#disk = ground.then((open) => mountDiskScratch(open, this.#options))
    // Whoever opens it hears of it; until then it is no reason to end.
    ground.catch(() => {})
    this.#disk.catch(() => {})
  }

  async #dropDisk(): Promise<void> {
    const disk = await this.#disk?.catch(() => undefined)
    disk?.abandon()
    await disk?.unmount()
    this.#disk = undefined
  }

  async #close(): Promise<void> {
    await this.#dropDisk()
    await this.#memory?.unmount()
    const ground = await this.#ground?.catch(() => undefined)
    // One that could not be opened has ended the pool itself.
    if (ground !== undefined) await ground.close()
    else await this.#options.pool.end()
  }
}
