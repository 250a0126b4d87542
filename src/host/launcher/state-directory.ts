import { statSync } from 'node:fs'
import { CodedError } from '#lib/errors'

/**
 * Refuses a state directory in which others could put something: sockets that commands would talk to, mounts
 * that enclaves would be started from. It must belong to this user or to root, and nobody else may write to
 * it. A link is followed; one that is not there yet is good. Throws CodedError STATE_UNSAFE.
 */
export function checkState(directory: string): void {
  const found = statSync(directory, { throwIfNoEntry: false })
  if (found === undefined) return
  const trouble = troubleOf(found)
  if (trouble !== undefined) {
    throw new CodedError('STATE_UNSAFE', `using ${directory} for state: ${trouble}`)
  }
}

function troubleOf(found: {
  readonly uid: number
  readonly mode: number
  isDirectory(): boolean
}): string | undefined {
  const { uid, mode } = found
  if (!found.isDirectory()) return 'it is not a directory'
  if (uid !== 0 && uid !== process.geteuid?.()) return `it belongs to user ${uid}`
  if ((mode & 0o022) !== 0) return `others may write to it (mode ${(mode & 0o7777).toString(8)})`
  return undefined
}
