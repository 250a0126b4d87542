import { killAllButKeepers } from './keeper.ts'

/**
 * Ends the process for certain. `process.exit` waits for threads, and one that is blocked in
 * `read(/dev/fuse)` never comes back (docs/rootfs.md); SIGKILL does not wait, and with the last process
 * of the private mount namespace the kernel takes down its mounts. The children go first: one of them
 * would hold that namespace. A keeper holds it on purpose, for the moment that it takes us to end.
 */
export function die(): never {
  killAllButKeepers()
  process.kill(process.pid, 'SIGKILL')
  // Not reached: a signal to oneself is delivered before the call returns.
  throw new Error('killed')
}

/** Kills this process in `milliseconds` unless it has ended by then. */
export function armWatchdog(milliseconds: number): void {
  setTimeout(die, milliseconds).unref()
}
