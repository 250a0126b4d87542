import { openSync } from 'node:fs'
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
