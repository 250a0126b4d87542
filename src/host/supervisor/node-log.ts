import { closeSync, fstatSync, openSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { tryLockOpenFile } from '#platform/lock'
import { before } from './two-files.ts'

/** Size at which the log of a node, or of a pod's enclaves, begins anew, in bytes. */
export const NODE_LOG_LIMIT: number = 8 * 1024 * 1024

/** The log of a node: what its supervisors cannot tell anybody. `root`: its data. */
export function nodeLog(root: string): string {
  return join(root, 'supervisor.log')
}

/**
 * Opens a log that many processes append to, each with a descriptor like this one; above `limit` bytes it is
 * begun anew first, and the one before it kept as `.1`. A process that holds an older descriptor goes on
 * writing to `.1`, and what it writes after the next change is lost. Of two that come at once one makes the
 * change: the name is moved under a lock on the very file. Throws errno errors.
 */
export function openNodeLog(file: string, limit: number = NODE_LOG_LIMIT): number {
  const fd = openSync(file, 'a', 0o600)
  if (fstatSync(fd).size <= limit) return fd
  try {
    // The lock is refused where the name leads to another file by now: somebody was first.
    if (tryLockOpenFile(fd, file, 'exclusive')) renameSync(file, before(file))
  } finally {
    closeSync(fd)
  }
  return openSync(file, 'a', 0o600)
}
