import { closeSync, openSync } from 'node:fs'
import { check, libc } from '#platform/ffi'

const CLONE_FS = 0x200
const CLONE_NEWNS = 0x20000

/** A descriptor of the mount namespace this thread is in, to come back to it later. */
export function mountNamespace(): number {
  return openSync('/proc/self/ns/mnt', 'r')
}

/**
 * Moves the main thread back to the namespace of `fd`. Threads of libuv's pool stay where they are:
 * from then on use synchronous file calls alone. Throws SystemError.
 */
export function returnToMounts(fd: number): void {
  // Safe: integers only. setns(2) wants a thread whose root and working directory are its own.
  check(libc.unshare(CLONE_FS), 'unshare', 'root and working directory')
  // Safe: integers only.
  check(libc.setns(fd, CLONE_NEWNS), 'setns', 'the mount namespace')
}

/**
 * Runs `act` with the main thread in the namespace of `fd`, and comes back: a child that it starts lives
 * there. Synchronous calls alone. Throws SystemError, and what `act` throws.
 */
export function inMounts<T>(fd: number, act: () => T): T {
  const own = mountNamespace()
  try {
    returnToMounts(fd)
    try {
      return act()
    } finally {
      // Safe: integers only; root and working directory are this thread's own since the first change.
      check(libc.setns(own, CLONE_NEWNS), 'setns', 'the own mount namespace')
    }
  } finally {
    closeSync(own)
  }
}
