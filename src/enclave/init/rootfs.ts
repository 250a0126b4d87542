import { mkdirSync } from 'node:fs'
import { mountErofs } from '#platform/erofs'
import { MOUNT_FLAGS } from '#platform/mount'
import type { Ground } from './ground.ts'
import { InitError, mountFailed } from './init-error.ts'
import type { Scratch } from './scratch.ts'
import type { SealedFile } from './sealed-file.ts'
import type { ServePool } from './serve-pool.ts'

/** A mounted root filesystem. */
export interface Rootfs {
  /** The merged tree. */
  readonly path: string
  /** Takes it down in order; for use when no process is inside any more. */
  unmount(): void
}

/** What `mountRootfs` needs. */
export interface RootfsOptions {
  readonly ground: Ground
  readonly scratch: Scratch
  /** Base layer first; they belong to the ground from now on. */
  readonly files: readonly SealedFile[]
  readonly pool: ServePool
}

const { noatime } = MOUNT_FLAGS
// No feature that follows extended attributes of a hostile layer (kernel, overlayfs.rst).
const OVERLAY = 'index=off,metacopy=off,xino=off,redirect_dir=off'

/**
 * Mounts the stack on the ground: EROFS on each of the served layers, and an overlay of them with the
 * scratch on top. The calling thread must not be one that serves. Throws InitError `ROOTFS_TAMPERED` or
 * `ROOTFS_MOUNT_FAILED`, or what `mountErofs` says the machine lacks; nothing of it stays mounted then.
 */
export function mountRootfs(options: RootfsOptions): Rootfs {
  const stack = new MountStack(options)
  try {
    stack.mount()
  } catch (error) {
    stack.unmount()
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
    this.path = options.ground.at('r')
  }

  mount(): void {
    const { ground, scratch, files } = this.#options
    ground.addLayers(files)
    for (const { name } of files) {
      mkdirSync(ground.at(`l/${name}`))
      this.#mountErofs(ground.at(`f/${name}`), ground.at(`l/${name}`))
    }
    // The upper directory's mode is that of `/` inside; 755 is what every image expects.
    const [upper, work] = [`${scratch.path}/u`, `${scratch.path}/w`]
    mkdirSync(upper, { mode: 0o755 })
    mkdirSync(work, { mode: 0o700 })
    // The first is the topmost: OCI lists the base first.
    const lower = files.map(({ name }) => ground.at(`l/${name}`)).reverse()
    ground.mounts.mount({
      source: 'overlay',
      target: this.path,
      type: 'overlay',
      flags: 0,
      data: `lowerdir=${lower.join(':')},upperdir=${upper},workdir=${work},${OVERLAY}`,
    })
    this.#mounted.push(this.path)
  }

  unmount(): void {
    for (let at = this.#mounted.pop(); at !== undefined; at = this.#mounted.pop()) {
      this.#options.ground.unmount(at)
    }
  }

  #mountErofs(image: string, target: string): void {
    mountErofs(this.#options.ground.mounts, image, target, noatime)
    this.#mounted.push(target)
  }
}

function mountError(error: unknown, pool: ServePool): unknown {
  const { trouble } = pool
  // Our threads say so before they answer EIO. Without it EIO is a disk that failed.
  if (trouble?.kind !== 'tampered') return mountFailed(error)
  const where = `${trouble.file}, chunk ${trouble.chunk}`
  const found = `mounting the root filesystem: ${where} is not genuine`
  return new InitError('ROOTFS_TAMPERED', found, { cause: error })
}
