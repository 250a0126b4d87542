import { randomBytes } from 'node:crypto'
import { constants, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import {
  COLLATERAL_FILES,
  type CollateralFacts,
  type CollateralSet,
  collateralFromFiles,
  requireNotOlder,
} from '#lib/attest'
import { CodedError, isCoded } from '#lib/errors'
import { readOptional } from './evidence-files.ts'

/** A set in its directory. */
export interface StoredSet {
  readonly directory: string
  readonly set: CollateralSet
}

/** Reads the set in a directory; undefined where there is no TCB info, so not even a beginning. */
export async function readSet(directory: string): Promise<CollateralSet | undefined> {
  const files = new Map<string, Uint8Array>()
  for (const name of Object.values(COLLATERAL_FILES)) {
    const bytes = await readOptional(join(directory, name))
    if (bytes !== undefined) files.set(name, bytes)
  }
  return files.has(COLLATERAL_FILES.tcbInfo) ? collateralFromFiles(files) : undefined
}

/** The set in `directory` itself and those in the directories just below it, by name. */
export async function readSets(directory: string): Promise<StoredSet[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((cause: unknown) => {
    const { code } = cause as NodeJS.ErrnoException
    const found = code === 'ENOENT' ? 'there is no such directory' : `${code}`
    throw new CodedError('INPUT_UNREADABLE', `reading ${directory}: ${found}`, { cause })
  })
  const names = entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  const sets: StoredSet[] = []
  for (const at of [directory, ...names.sort().map((name) => join(directory, name))]) {
    const set = await readSet(at)
    if (set !== undefined) sets.push({ directory: at, set })
  }
  return sets
}

/**
 * Writes a set that was verified, each file at once by renaming. A reader between two files sees
 * parts of two issues, each signed by itself. Throws AttestError COLLATERAL_ROLLBACK if `known`,
 * what is there, is newer.
 */
export async function writeSet(
  directory: string,
  set: CollateralSet,
  facts: CollateralFacts,
  known: CollateralFacts | undefined,
): Promise<void> {
  if (known !== undefined) requireNotOlder(facts, known)
  const made = await mkdir(directory, { recursive: true })
  for (const [part, name] of Object.entries(COLLATERAL_FILES)) {
    const bytes = set[part as keyof CollateralSet]
    if (bytes === undefined) continue
    const temporary = join(directory, `.${name}.${randomBytes(6).toString('hex')}`)
    try {
      await writeDurably(temporary, bytes)
      await rename(temporary, join(directory, name))
    } catch (error) {
      await rm(temporary, { force: true })
      throw error
    }
  }
  // Files first, then the names: after a crash a name never stands for an empty file.
  await syncDirectory(directory)
  if (made !== undefined) await syncDirectory(dirname(made))
}

async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx')
  await file.writeFile(bytes)
  await file.sync()
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY)
  await directory.sync()
}

/** What `read` finds in a set; undefined if it is no good set under these anchors. */
export function factsOf(read: () => CollateralFacts): CollateralFacts | undefined {
  try {
    return read()
  } catch (error) {
    if (isCoded(error)) return undefined
    throw error
  }
}

/** Name of the directory of a set inside a directory of many: those of two roots do not meet. */
export function setName({ tee, fmspc, ca, rootKey }: CollateralFacts): string {
  return `${tee}-${fmspc}-${ca}-${rootKey.slice(0, 16)}`
}

/** Whether two sets are issues of the same collateral, so that one may be older than the other. */
export function sameSubject(a: CollateralFacts, b: CollateralFacts): boolean {
  return a.tee === b.tee && a.fmspc === b.fmspc && a.ca === b.ca && a.rootKey === b.rootKey
}
