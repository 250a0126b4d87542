import { closeSync, constants, openSync } from 'node:fs'
import { check, libc } from '#platform/ffi'

// The number of pivot_root(2); glibc has no function for it.
const SYS_PIVOT_ROOT = process.arch === 'arm64' ? 41n : 155n
const MNT_DETACH = 2
// More than any path to a bundle has parts; `..` of the topmost directory is itself.
const MAX_DEPTH = 512

/**
 * Makes the directory that this process was chrooted into the root of its mount namespace, and lets go
 * of everything above it. Attack: a chroot hides the host's tree, but leaves it in the namespace and
 * in every copy of it, so that a container of ours with CAP_SYS_CHROOT, which is a default one, walks
 * up into the host's root with five system calls.
 *
 * Needs a private mount namespace (`enterPrivateMounts`), a root that is a mount point, and
 * `doorway`, a directory below the root. Throws SystemError; the process must end then.
 */
export function becomeOwnRoot(doorway: string): void {
  const root = openSync('/', constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    // Safe, all of them: one string that the kernel copies, or one integer. They act on this thread
    // and on those that it starts, which is why there must be no others yet.
    check(libc.chdir('/'), 'chdir', '/')
    // With the root below us, `..` is not held at it any more.
    check(libc.chroot(doorway), 'chroot', doorway)
    for (let i = 0; i < MAX_DEPTH; i += 1) check(libc.chdir('..'), 'chdir', '..')
    check(libc.chroot('.'), 'chroot', 'the root of the mount namespace')
    check(libc.fchdir(root), 'fchdir', 'the own root')
    // Puts the old root on top of the new one, at the same place (pivot_root(2), `pivot_root(".", ".")`).
    // Safe: two strings that the kernel copies.
    check(libc.syscall(SYS_PIVOT_ROOT, '.', '.', 0n, 0n, 0n, 0n), 'pivot_root', 'the own root')
    check(libc.umount2('.', MNT_DETACH), 'umount', 'the old root')
    check(libc.chdir('/'), 'chdir', '/')
  } finally {
    closeSync(root)
  }
}
