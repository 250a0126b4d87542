import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { isCoded } from '#lib/errors'
import { MAX_READ } from '#lib/fuse'
import { mountErofs } from '#platform/erofs'
import { SystemError } from '#platform/ffi'
import { mountFuse } from '#platform/fuse'
import { MOUNT_FLAGS, type Mounts } from '#platform/mount'
import { InitError } from './init-error.ts'
import { mountMemory } from './memory-mount.ts'
import { closeLayers } from './open-layers.ts'
import type { SealedFile } from './sealed-file.ts'
import type { ServePool } from './serve-pool.ts'

/** A mounted root filesystem. */
export interface Rootfs {
  /** The merged tree. */
  readonly path: string
  /**
   * Takes everything down in order; for use when no process is inside any more. Resolves when the
   * serving threads have ended and the keys are wiped.
   */
  unmount(): Promise<void>
}

/** What `mountRootfs` needs. */
export interface RootfsOptions {
  readonly mounts: Mounts
  /** A private, empty directory on a tmpfs. */
  readonly base: string
  /** Base layer first; they belong to the rootfs from now on. */
  readonly files: readonly SealedFile[]
  readonly pool: ServePool
  /** Bytes of the writable layer. */
  readonly scratchSize: number
  /** Called once a chunk is not genuine or a serving thread failed; ask the pool what it was. */
  readonly onTrouble: () => void
}

const { nosuid, nodev, noatime } = MOUNT_FLAGS
// No feature that follows extended attributes of a hostile layer (kernel, overlayfs.rst).
const OVERLAY = 'index=off,metacopy=off,xino=off,redirect_dir=off'

/**
 * Mounts the stack: FUSE with the decrypted images, EROFS on each of its files, and an overlay of them
 * with a tmpfs on top. The calling thread must not be one that serves. Throws InitError
 * `ROOTFS_TAMPERED` or `ROOTFS_MOUNT_FAILED`, or what `mountErofs` says the machine lacks; nothing stays mounted then.
 */
export async function mountRootfs(options: RootfsOptions): Promise<Rootfs> {
  const stack = new MountStack(options)
  try {
    stack.mount()
  } catch (error) {
    await stack.unmount()
    throw mountError(error, options.pool)
  }
  return { path: stack.path, unmount: () => stack.unmount() }
}

class MountStack {
  readonly path: string
  readonly #options: RootfsOptions
  // Newest last; taken down from the end.
  readonly #mounted: string[] = []

  constructor(options: RootfsOptions) {
    this.#options = options
    this.path = join(options.base, 'r')
  }

  mount(): void {
    const { base, mounts, files, pool, scratchSize, onTrouble } = this.#options
    const at = (name: string): string => join(base, name)
    for (const name of ['f', 'l', 's', 'r']) mkdirSync(at(name), { mode: 0o700 })
    const device = mountFuse(mounts, at('f'), MAX_READ)
    this.#mounted.push(at('f'))
    pool.serve(device, files, onTrouble)
    for (const { name } of files) {
      mkdirSync(at(`l/${name}`))
      this.#mountErofs(at(`f/${name}`), at(`l/${name}`))
    }
    mountMemory(mounts, {
      source: 'scratch',
      target: at('s'),
      flags: nosuid | nodev | noatime,
      data: `mode=700,size=${scratchSize}`,
    })
    this.#mounted.push(at('s'))
    // The upper directory's mode is that of `/` inside; 755 is what every image expects.
    mkdirSync(at('s/u'), { mode: 0o755 })
    mkdirSync(at('s/w'), { mode: 0o700 })
    // The first is the topmost: OCI lists the base first.
    const lower = files.map(({ name }) => at(`l/${name}`)).reverse()
    mounts.mount({
      source: 'overlay',
      target: this.path,
      type: 'overlay',
      flags: 0,
      data: `lowerdir=${lower.join(':')},upperdir=${at('s/u')},workdir=${at('s/w')},${OVERLAY}`,
    })
    this.#mounted.push(this.path)
  }

  async unmount(): Promise<void> {
    const { mounts, pool, files, base } = this.#options
    const fuse = join(base, 'f')
    while (this.#mounted.length > 0) {
      const target = this.#mounted.pop() ?? fuse
      // A process that is dying may hold its last file for a moment; detaching waits for it unseen.
      try {
        mounts.unmount(target)
      } catch {
        mounts.unmount(target, { detach: true })
      }
    }
    await pool.end()
    closeLayers(files)
  }

  #mountErofs(image: string, target: string): void {
    mountErofs(this.#options.mounts, image, target, noatime)
    this.#mounted.push(target)
  }
}

function mountError(error: unknown, pool: ServePool): unknown {
  const code = (error as { code?: string }).code ?? ''
  const { trouble } = pool
  // Nothing below us but our own threads answers EIO, and they do so for one reason.
  if (trouble?.kind === 'tampered' || code === 'EIO') {
    const where =
      trouble?.kind === 'tampered' ? `${trouble.file}, chunk ${trouble.chunk}` : 'a layer'
    return new InitError(
      'ROOTFS_TAMPERED',
      `mounting the root filesystem: ${where} is not genuine`,
      {
        cause: error,
      },
    )
  }
  // What the machine lacks has a code of its own.
  if (isCoded(error)) return error
  const found = error instanceof SystemError ? error.message : code || 'it failed'
  return new InitError('ROOTFS_MOUNT_FAILED', `mounting the root filesystem: ${found}`, {
    cause: error,
    details: { errno: code },
  })
}
