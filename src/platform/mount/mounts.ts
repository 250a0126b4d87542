/** `MS_*` of mount(2), those that we use. */
export const MOUNT_FLAGS: Readonly<
  Record<
    'rdonly' | 'nosuid' | 'nodev' | 'noexec' | 'noatime' | 'bind' | 'move' | 'rec' | 'private',
    number
  >
> = {
  rdonly: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  noatime: 1024,
  bind: 4096,
  move: 8192,
  rec: 16384,
  private: 262144,
}

/** One call of mount(2). `flags` is a sum of `MOUNT_FLAGS`, `data` the filesystem's own options. */
export interface MountRequest {
  readonly source: string
  readonly target: string
  readonly type: string
  readonly flags: number
  readonly data?: string
}

/** Mounting, as the programs need it. */
export interface Mounts {
  /** mount(2). Throws `SystemError`. */
  mount(request: MountRequest): void
  /** umount2(2); `detach` is MNT_DETACH. Throws `SystemError`. */
  unmount(target: string, options?: { readonly detach?: boolean }): void
}
