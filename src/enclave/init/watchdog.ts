import { killChildren } from '#platform/process'

/**
 * Ends the process for certain. `process.exit` waits for threads, and one that is blocked in
 * `read(/dev/fuse)` never comes back (docs/rootfs.md); SIGKILL does not wait, and with the last process
 * of the private mount namespace the kernel takes down its mounts. The children go first: one of them
 * would hold that namespace.
 */
export function die(): never {
  killChildren()
  process.kill(process.pid, 'SIGKILL')
  // Not reached: a signal to oneself is delivered before the call returns.
  throw new Error('killed')
}

/** Kills this process in `milliseconds` unless it has ended by then. */
export function armWatchdog(milliseconds: number): void {
  setTimeout(die, milliseconds).unref()
}
