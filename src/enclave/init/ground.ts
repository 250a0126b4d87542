import { mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { MAX_READ } from '#lib/fuse'
import { mountFuse } from '#platform/fuse'
import { MOUNT_FLAGS, type Mounts } from '#platform/mount'
import { InitError, mountFailed } from './init-error.ts'
import { mountMemory } from './memory-mount.ts'
import { closeLayers } from './open-layers.ts'
import {
  createScratch,
  destroyScratch,
  emptyScratch,
  SCRATCH_NAME,
  type ScratchShare,
} from './scratch-file.ts'
import type { SealedFile } from './sealed-file.ts'
import type { ServePool } from './serve-pool.ts'

/** What `Ground.open` needs. */
export interface GroundOptions {
  readonly mounts: Mounts
  readonly pool: ServePool
  /** Directory that gets a private tmpfs with all of the container's mounts; made if missing. */
  readonly base: string
  /** Directory of the sealed layers and of the scratch's ciphertext. */
  readonly spool: string
}

const { nosuid, nodev } = MOUNT_FLAGS

/**
 * What a root filesystem stands on: a private tmpfs for its mount points, and the FUSE mount whose files
 * the pool serves. It needs neither image nor keys, so it can be there before them.
 */
export class Ground {
  readonly mounts: Mounts
  /** Whether the kernel keeps pages of a tmpfs out of swap. */
  readonly noswap: boolean
  readonly #options: GroundOptions
  readonly #scratch: ScratchShare | undefined
  #layers: readonly SealedFile[] = []
  #served = false

  private constructor(options: GroundOptions, noswap: boolean, scratch: ScratchShare | undefined) {
    this.mounts = options.mounts
    this.noswap = noswap
    this.#options = options
    this.#scratch = scratch
  }

  /**
   * Opens one, with an encrypted scratch of `scratchSize` bytes as a file of the FUSE mount if that is
   * given. Throws InitError `ROOTFS_MOUNT_FAILED` or `SCRATCH_UNAVAILABLE`; nothing is left then, and the
   * pool has ended.
   */
  static async open(options: GroundOptions, scratchSize?: number): Promise<Ground> {
    const { mounts, base, pool, spool } = options
    let ground: Ground | undefined
    let mounted = false
    try {
      await pool.ready()
      mkdirSync(base, { recursive: true, mode: 0o700 })
      // Small: what grows (the scratch) is a filesystem of its own.
      const data = 'mode=700,size=16m'
      const place = { source: 'init', target: base, flags: nosuid | nodev, data }
      const noswap = mountMemory(mounts, place)
      mounted = true
      const scratch = scratchSize === undefined ? undefined : newScratch(spool, scratchSize)
      ground = new Ground(options, noswap, scratch)
      ground.#serve()
      return ground
    } catch (error) {
      if (ground !== undefined) await ground.close()
      else {
        await pool.end()
        if (mounted) mounts.unmount(base, { detach: true })
        rmSync(base, { recursive: true, force: true })
      }
      throw mountFailed(error)
    }
  }

  /** A path below the private tmpfs. */
  at(name: string): string {
    return join(this.#options.base, name)
  }

  /** The scratch as a file, whose content is plaintext. */
  get scratchFile(): string | undefined {
    return this.#scratch === undefined ? undefined : this.at(`f/${SCRATCH_NAME}`)
  }

  /** Bytes of the scratch that the node's disk holds. */
  get scratchShare(): ScratchShare | undefined {
    return this.#scratch
  }

  /** Gives the disk back that a scratch holds which nobody wants: who still reads it gets zeros. */
  clearScratch(): void {
    try {
      if (this.#scratch !== undefined) emptyScratch(this.#scratch)
    } catch {
      // it goes with the file
    }
  }

  /** Serves sealed layers as `f/NAME`. They belong to the ground from now on. */
  addLayers(files: readonly SealedFile[]): void {
    this.#layers = [...this.#layers, ...files]
    this.#options.pool.addLayers(files)
  }

  /** Unmounts `target`, now or as soon as its last user has gone. */
  unmount(target: string): void {
    const { mounts } = this.#options
    // A process that is dying may hold its last file for a moment; detaching waits for it unseen.
    try {
      mounts.unmount(target)
    } catch {
      mounts.unmount(target, { detach: true })
    }
  }

  /** Takes it down when nothing stands on it any more; waits for the threads and wipes all keys. */
  async close(): Promise<void> {
    const { base, pool } = this.#options
    if (this.#served) this.unmount(this.at('f'))
    await pool.end()
    closeLayers(this.#layers)
    if (this.#scratch !== undefined) destroyScratch(this.#scratch)
    this.unmount(base)
    rmSync(base, { recursive: true, force: true })
  }

  #serve(): void {
    const { mounts, pool } = this.#options
    for (const name of ['f', 'l', 's', 'r']) mkdirSync(this.at(name), { mode: 0o700 })
    const device = mountFuse(mounts, this.at('f'), MAX_READ)
    this.#served = true
    pool.serve(device, this.#scratch)
  }
}

function newScratch(spool: string, size: number): ScratchShare {
  try {
    return createScratch(spool, size)
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? 'it failed'
    const found = `a file of ${size} bytes on the disk of the node: ${code}`
    throw new InitError('SCRATCH_UNAVAILABLE', `preparing the scratch: ${found}`, { cause })
  }
}
