import { getRawPointer } from 'node:ffi'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { constants as os } from 'node:os'
import { cString, errno, libc, SystemError } from '#platform/ffi'

const SYS_OPENAT2 = 437n
const RESOLVE_NO_MAGICLINKS = 0x02n
const RESOLVE_IN_ROOT = 0x10n
const HOW_LENGTH = 24
const O_CLOEXEC = 0o2000000

/**
 * Reads a regular file below `root` as a process with that root would see it: symbolic links and
 * `..` of a hostile image resolve inside `root` and never lead out (openat2, Linux 5.6). Undefined if
 * it does not exist; throws SystemError otherwise, EFBIG if it is above `limit` bytes, EINVAL if it is
 * not a regular file.
 */
export function readInRoot(root: string, path: string, limit: number): Uint8Array | undefined {
  const directory = openSync(root, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    const fd = openInRoot(directory, path)
    if (fd === undefined) return undefined
    try {
      return readRegular(fd, path, limit)
    } finally {
      closeSync(fd)
    }
  } finally {
    closeSync(directory)
  }
}

function openInRoot(directory: number, path: string): number | undefined {
  const how = Buffer.alloc(4096) // of its own, not a slice of Node's pool
  // A FIFO would block this thread until somebody writes: O_NONBLOCK opens it, fstat refuses it.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY | O_CLOEXEC
  how.writeBigUInt64LE(BigInt(flags), 0)
  how.writeBigUInt64LE(RESOLVE_NO_MAGICLINKS | RESOLVE_IN_ROOT, 16)
  // Safe: openat2(dirfd, path, how, size); `how` holds 24 bytes and is referenced after the call.
  const fd = libc.syscall(
    SYS_OPENAT2,
    BigInt(directory),
    cString(path),
    getRawPointer(how),
    BigInt(HOW_LENGTH),
    0n,
    0n,
  )
  const failure = fd === -1n ? errno() : 0
  how.fill(0)
  if (failure === os.errno.ENOENT || failure === os.errno.ENOTDIR) return undefined
  if (failure !== 0) throw new SystemError('openat2', path, failure)
  return Number(fd)
}

function readRegular(fd: number, path: string, limit: number): Uint8Array {
  const stat = fstatSync(fd)
  if (!stat.isFile()) throw new SystemError('read', `${path}: not a file`, os.errno.EINVAL)
  if (stat.size > limit) throw new SystemError('read', `${path}: too long`, os.errno.EFBIG)
  const bytes = new Uint8Array(stat.size)
  let got = 0
  while (got < bytes.length) {
    const count = readSync(fd, bytes, got, bytes.length - got, got)
    if (count === 0) break
    got += count
  }
  return bytes.subarray(0, got)
}
