import { closeSync, constants, ftruncateSync, openSync, rmSync } from 'node:fs'
import { constants as os } from 'node:os'
import { join } from 'node:path'
import { errno, libc } from '#platform/ffi'

// linux/fcntl.h: __O_TMPFILE, which comes with O_DIRECTORY.
const O_TMPFILE = 0o20000000 | constants.O_DIRECTORY
const FALLOC_FL_KEEP_SIZE = 1
const FALLOC_FL_PUNCH_HOLE = 2

/**
 * A file of `size` zeros in `directory` that has no name and takes no space yet: it is gone with its last
 * descriptor, however the process ends. Throws the errors of open(2) and ftruncate(2).
 */
export function openUnnamed(directory: string, size: number): number {
  const fd = openWithoutName(directory)
  try {
    ftruncateSync(fd, size)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

function openWithoutName(directory: string): number {
  try {
    // With O_EXCL nobody can give it a name later.
    return openSync(directory, O_TMPFILE | constants.O_RDWR | constants.O_EXCL, 0o600)
  } catch (error) {
    const { code } = error as { code?: string }
    // ENOTSUP is how Node names EOPNOTSUPP.
    if (code !== 'ENOTSUP' && code !== 'EISDIR' && code !== 'EINVAL') throw error
  }
  // A filesystem that knows no unnamed files: named for a moment.
  const path = join(directory, `.unnamed-${process.pid}`)
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
  const fd = openSync(path, flags, 0o600)
  rmSync(path)
  return fd
}

/** Gives the space of a range back to the filesystem; false where that cannot be done. */
export function punchHole(fd: number, position: number, length: number): boolean {
  const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE
  for (;;) {
    // Safe: integers only.
    if (libc.fallocate(fd, mode, BigInt(position), BigInt(length)) === 0) return true
    if (errno() !== os.errno.EINTR) return false
  }
}
