import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { readFileAtMost } from '#platform/input-file'
import { ProtectError } from './protect-error.ts'

/** Mode of files that hold a private key. */
const PRIVATE = 0o600
const PUBLIC = 0o644
const MAX_KEY_FILE = 64 * 1024

/** A key pair's files, to be written together. */
export interface KeyPairFiles {
  readonly privatePath: string
  readonly privateKey: Uint8Array
  readonly publicPath: string
  readonly publicKey: Uint8Array
}

/**
 * Writes both files, the private one with mode 0600 from its first byte on. Existing files are
 * kept and `OUTPUT_EXISTS` is thrown unless `force`. Leaves neither file if one fails.
 */
export async function writeKeyPair(files: KeyPairFiles, force: boolean): Promise<void> {
  await using made = new AsyncDisposableStack()
  const create = async (path: string, mode: number, bytes: Uint8Array): Promise<void> => {
    // A forced write replaces the name in one step: the old file may be readable for others, or
    // a link, and must stay whole if the new one cannot be written.
    const target = force ? `${path}.${process.pid}.new` : path
    let file: FileHandle
    try {
      file = await open(target, 'wx', mode)
    } catch (cause) {
      throw outputError(path, cause)
    }
    made.defer(() => rm(target, { force: true }))
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
  }
  await create(files.privatePath, PRIVATE, files.privateKey)
  await create(files.publicPath, PUBLIC, files.publicKey)
  if (force) {
    for (const path of [files.privatePath, files.publicPath]) {
      await rename(`${path}.${process.pid}.new`, path)
    }
  }
  made.move()
}

/** Reads a small file, such as a key or a policy. Throws `INPUT_UNREADABLE`. */
export async function readInput(path: string, max: number = MAX_KEY_FILE): Promise<Uint8Array> {
  try {
    const bytes = await readFileAtMost(path, max)
    if (bytes !== undefined) return bytes
  } catch (cause) {
    throw new ProtectError('INPUT_UNREADABLE', `reading ${path}: ${reason(cause)}`, { cause })
  }
  throw new ProtectError('INPUT_UNREADABLE', `reading ${path}: it has over ${max} bytes`)
}

function outputError(path: string, cause: unknown): ProtectError {
  const code = (cause as NodeJS.ErrnoException).code
  if (code === 'EEXIST') {
    return new ProtectError('OUTPUT_EXISTS', `writing ${path}: the file exists already`)
  }
  if (code === 'ENOSPC') return new ProtectError('DISK_FULL', `writing ${path}: no space is left`)
  return new ProtectError('INPUT_UNREADABLE', `writing ${path}: ${reason(cause)}`, {
    next: 'choose a place that can be written',
    cause,
  })
}

function reason(cause: unknown): string {
  const code = (cause as NodeJS.ErrnoException).code
  const known: Readonly<Record<string, string>> = {
    ENOENT: 'it does not exist',
    EACCES: 'permission is denied',
    EISDIR: 'it is a directory',
    ENOTDIR: 'a part of the path is not a directory',
    EROFS: 'the filesystem is read-only',
  }
  return (code !== undefined ? known[code] : undefined) ?? code ?? 'it cannot be read'
}
