import { randomBytes } from 'node:crypto'
import { closeSync, constants, fstatSync, lstatSync, openSync, readFileSync } from 'node:fs'
import { link, mkdir, mkdtemp, open, readdir, rename, rm, unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { toHex } from '#lib/bytes'
import { PlatformError } from './platform-error.ts'

/** Files of a platform are a few kilobytes; more is not read. */
const MAX_FILE_SIZE = 1_048_576

/** Files by name, as a new directory gets them. */
export type Files = Readonly<Record<string, Uint8Array | string>>

/**
 * Creates `directory` (mode 0700) with all its files (0600) in one step: they are written beside
 * it and renamed. False if another process was first; then nothing is left of the attempt.
 */
export async function createDirectory(directory: string, files: Files): Promise<boolean> {
  await mkdir(dirname(directory), { recursive: true })
  const draft = await mkdtemp(`${directory}.new-`)
  try {
    for (const [name, content] of Object.entries(files)) await writeNew(join(draft, name), content)
    await syncDirectory(draft)
    // rename(2) replaces an empty directory only: of two creators exactly one succeeds.
    await rename(draft, directory)
    await syncDirectory(dirname(directory))
    return true
  } catch (error) {
    if (hasErrno(error, 'ENOTEMPTY', 'EEXIST')) return false
    throw error
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/**
 * Adds a file that must not exist yet, whole or not at all. False if the name was taken: link(2)
 * lets one of several writers win.
 */
export async function addFile(
  directory: string,
  name: string,
  content: Uint8Array | string,
): Promise<boolean> {
  const draft = join(directory, `.new-${toHex(randomBytes(8))}`)
  try {
    await writeNew(draft, content)
    await link(draft, join(directory, name))
    await syncDirectory(directory)
    return true
  } catch (error) {
    if (hasErrno(error, 'EEXIST')) return false
    throw error
  } finally {
    await rm(draft, { force: true })
  }
}

/** Removes a file that another process may have removed already. */
export async function removeFile(directory: string, name: string): Promise<void> {
  await unlink(join(directory, name)).catch((error: unknown) => {
    if (!hasErrno(error, 'ENOENT')) throw error
  })
}

/** Names in the directory; undefined if it does not exist. */
export async function listDirectory(directory: string): Promise<string[] | undefined> {
  try {
    return await readdir(directory)
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * Refuses a directory that others could have put keys into or read them from: it must be a
 * directory (no link) of this user with mode 0700. PlatformError PLATFORM_PERMISSIONS.
 */
export function checkDirectory(directory: string): void {
  const { uid, mode } = lstatSync(directory)
  if ((mode & constants.S_IFMT) !== constants.S_IFDIR) {
    throw new PlatformError('PLATFORM_DAMAGED', `opening ${directory}: it is not a directory`)
  }
  checkOwner(directory, uid, mode)
}

/**
 * A private file's bytes; undefined if it does not exist. One synchronous read: it happens at each
 * container start and is quicker than the event loop. PlatformError PLATFORM_PERMISSIONS or
 * PLATFORM_DAMAGED.
 */
export function readPrivate(directory: string, name: string): Uint8Array | undefined {
  const path = join(directory, name)
  let file: number
  try {
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW)
  } catch (error) {
    if (hasErrno(error, 'ENOENT')) return undefined
    throw new PlatformError('PLATFORM_DAMAGED', `opening ${path}: it cannot be opened`, {
      cause: error,
    })
  }
  try {
    const { uid, mode, size } = fstatSync(file)
    if ((mode & constants.S_IFMT) !== constants.S_IFREG || size > MAX_FILE_SIZE) {
      throw new PlatformError('PLATFORM_DAMAGED', `opening ${path}: it is no file of a platform`)
    }
    checkOwner(path, uid, mode)
    return new Uint8Array(readFileSync(file))
  } finally {
    closeSync(file)
  }
}

function checkOwner(path: string, uid: number, mode: number): void {
  if (uid === process.geteuid?.() && (mode & 0o077) === 0) return
  const found = `its owner is ${uid} and its mode ${(mode & 0o7777).toString(8)}`
  throw new PlatformError('PLATFORM_PERMISSIONS', `opening ${path}: ${found}`)
}

async function writeNew(path: string, content: Uint8Array | string): Promise<void> {
  await using file = await open(path, 'wx', 0o600)
  await file.writeFile(content)
  await file.sync()
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await directory.sync()
}

function hasErrno(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && codes.includes((error as NodeJS.ErrnoException).code ?? '')
}
