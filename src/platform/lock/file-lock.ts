import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs'
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
 * holders, blocking this thread: hold locks for milliseconds, or take them shared. The holder of an
 * exclusive lock may remove the file: who waited for it then locks a new one. Throws SystemError.
 */
export function lockFile(path: string, kind: LockKind): FileLock {
  for (;;) {
    const fd = openLockFile(path)
    // Safe: integers only. Blocks; other holders are processes that hold it for a mount or a rename.
    check(libc.flock(fd, kind === 'shared' ? LOCK_SH : LOCK_EX), 'flock', path)
    if (isStill(path, fd)) return held(fd)
    closeSync(fd)
  }
}

/** As `lockFile`, but gives undefined at once where somebody else holds the lock. */
export function tryLockFile(path: string, kind: LockKind): FileLock | undefined {
  for (;;) {
    const fd = openLockFile(path)
    // Safe: integers only.
    if (libc.flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0) {
      if (isStill(path, fd)) return held(fd)
      closeSync(fd)
      continue
    }
    const name = errnoName(errno())
    closeSync(fd)
    if (name === 'EAGAIN') return undefined
    throw new Error(`flock ${path}: ${name}`)
  }
}

/**
 * Takes an advisory lock on the open file `fd`, without waiting. False where somebody else holds a lock
 * against it, where the filesystem has none, and where `path` does not lead to this file any more: who
 * removes a file holds it exclusively meanwhile. The lock ends with the descriptor.
 */
export function tryLockOpenFile(fd: number, path: string, kind: LockKind): boolean {
  // Safe: integers only.
  const locked = libc.flock(fd, (kind === 'shared' ? LOCK_SH : LOCK_EX) | LOCK_NB) === 0
  return locked && isStill(path, fd)
}

// Between open and lock the file may have been removed by the holder before.
function isStill(path: string, fd: number): boolean {
  const [now, mine] = [lstatSync(path, { throwIfNoEntry: false }), fstatSync(fd)]
  return now !== undefined && now.ino === mine.ino && now.dev === mine.dev
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
