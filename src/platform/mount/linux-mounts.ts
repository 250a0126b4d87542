import { constants } from 'node:os'
import { check, cString, libc, SystemError } from '#platform/ffi'
import type { Mounts } from './mounts.ts'

const MNT_DETACH = 2
const UMOUNT_NOFOLLOW = 8

// The kernel copies one page of options and cuts the rest off without a word (docs/rootfs.md).
const DATA_LIMIT = 4095

/** mount(2) and umount2(2) of the calling thread's mount namespace. */
export const linuxMounts: Mounts = {
  mount({ source, target, type, flags, data = '' }) {
    if (Buffer.byteLength(data) > DATA_LIMIT) {
      throw new SystemError('mount', `${target}: options over one page`, constants.errno.E2BIG)
    }
    // Safe: five arguments as in mount(2); the kernel copies all four strings before it returns.
    const result = libc.mount(
      cString(source),
      cString(target),
      cString(type),
      BigInt(flags),
      cString(data),
    )
    check(result, 'mount', `${type} on ${target}`)
  },
  unmount(target, options = {}) {
    const flags = UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0)
    // Safe: one string, which the kernel copies, and an integer.
    check(libc.umount2(cString(target), flags), 'umount', target)
  },
}
