import { closeSync, constants, openSync } from 'node:fs'
import { check, errno, errnoName, libc } from '#platform/ffi'

const LOCK_SH = 1
const LOCK_EX = 2
const LOCK_NB = 4

/** A lock on a file. It belongs to the open descriptor, so a child that inherits `fd` holds it too. */
export interface FileLock extends Disposable {
  readonly fd: number
}

/** How a lock is taken: `shared` by many, `exclusive` by one. */
export type LockKind = 'shared' | 'exclusive'

/**
 * Takes an advisory lock (flock(2)) on `path`, which is created 0600 if absent. Waits for other
 * holders, blocking this thread: hold locks for milliseconds, or take them shared. Throws SystemError.
 */
export function lockFile(path: string, kind: LockKind): FileLock {
  const fd = openLockFile(path)
  // Safe: integers only. Blocks; other holders are processes that hold it for a mount or a rename.
  check(libc.flock(fd, kind === 'shared' ? LOCK_SH : LOCK_EX), 'flock', path)
  return held(fd)
}

/** As `lockFile`, but gives undefined at once where somebody else holds the lock. */
export function tryLockFile(path: string, kind: LockKind): FileLock | undefined {
  const fd = openLockFile(path)
  // Safe: integers only.
  if (libc.flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) return held(fd)
  const busy = errnoName(errno()) === 'EAGAIN'
  closeSync(fd)
  if (busy) return undefined
  throw new Error(`flock ${path} failed`)
}

function openLockFile(path: string): number {
  return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600)
}

function held(fd: number): FileLock {
  return {
    fd,
    [Symbol.dispose]: () => closeSync(fd),
  }
}
