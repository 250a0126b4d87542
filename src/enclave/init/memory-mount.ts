import type { MountRequest, Mounts } from '#platform/mount'

/**
 * Mounts a tmpfs whose pages never go to the node's swap, where they would be plaintext on a disk.
 * Returns false where the kernel cannot (`noswap` is of Linux 6.4): it is an ordinary tmpfs then.
 */
export function mountMemory(
  mounts: Mounts,
  request: Omit<MountRequest, 'type' | 'data'> & { readonly data: string },
): boolean {
  const tmpfs = { ...request, type: 'tmpfs' }
  try {
    mounts.mount({ ...tmpfs, data: `${request.data},noswap` })
    return true
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== 'EINVAL' && code !== 'EPERM') throw error
    mounts.mount(tmpfs)
    return false
  }
}
