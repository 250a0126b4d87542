import { lstatSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '#lib/errors'

/** What a node makes in it and trusts: control sockets, and mounts. A pool of somebody else's is simply none. */
const FOLDERS = ['containers', 'bundles']

/**
 * Refuses a state directory in which others could put something: sockets that commands would talk to, mounts
 * that enclaves would be started from. It must belong to this user or to root, and nobody else may write to
 * it; the same goes for the folders in it, which somebody may have made while it was open. A link to it is
 * followed, none in it; what is not there yet is good. Throws CodedError STATE_UNSAFE.
 */
export function checkState(directory: string): void {
  check(directory, directory, statSync(directory, { throwIfNoEntry: false }))
  for (const name of FOLDERS) {
    const path = join(directory, name)
    check(directory, path, lstatSync(path, { throwIfNoEntry: false }))
  }
}

function check(directory: string, path: string, found: Stats | undefined): void {
  const trouble = found === undefined ? undefined : troubleOf(found)
  if (trouble === undefined) return
  const where = path === directory ? '' : `${path}: `
  throw new CodedError('STATE_UNSAFE', `using ${directory} for state: ${where}${trouble}`)
}

function troubleOf(found: Stats): string | undefined {
  const { uid, mode } = found
  if (!found.isDirectory()) return 'it is not a directory'
  if (uid !== 0 && uid !== process.geteuid?.()) return `it belongs to user ${uid}`
  if ((mode & 0o022) !== 0) return `others may write to it (mode ${(mode & 0o7777).toString(8)})`
  return undefined
}
