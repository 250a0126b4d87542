import {
  closeSync,
  constants,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import {
  type FileLock,
  type LockKind,
  lockFile,
  tryLockFile,
  tryLockOpenFile,
} from '#platform/lock'
import { entryBytes, MAX_ENTRY, parseEntry, SPARE_ID, type SpareEntry } from './spare-entry.ts'

const KEY = /^[0-9a-f]{20}$/

/**
 * The spares of one key: `STATE/pool/KEY/`. A spare is there for as long as its process holds `ID.lock`;
 * `ID.json` tells of it and `ID.sock` is where it is claimed. Whoever runs a container of that key holds
 * `live`, shared; whoever starts a spare holds `mutex`.
 *
 * Attack: a state directory in which somebody else made a pool of his own. Both folders must belong to
 * this user alone, else there is no pool: what is in them then was put there by this user.
 */
export class PoolFolder {
  readonly path: string
  readonly key: string
  readonly #pool: string

  constructor(state: string, key: string) {
    this.key = key
    this.#pool = join(state, 'pool')
    this.path = join(this.#pool, key)
  }

  /** The pools of a state directory. */
  static all(state: string): readonly PoolFolder[] {
    const pool = join(state, 'pool')
    if (!isPrivate(pool)) return []
    return readdirSync(pool)
      .filter((name) => KEY.test(name))
      .map((name) => new PoolFolder(state, name))
      .filter((folder) => folder.usable)
  }

  /** True if it exists and nobody else can have put something into it. */
  get usable(): boolean {
    return isPrivate(this.#pool) && isPrivate(this.path)
  }

  /** Path of a spare's socket. */
  socket(id: string): string {
    return join(this.path, `${id}.sock`)
  }

  /** Makes it known that a container of this key lives. Undefined where there can be no pool. */
  live(): FileLock | undefined {
    return this.#made(() => lockFile(join(this.path, 'live'), 'shared'))
  }

  /** True if a container of this key lives, or if that cannot be told. Never waits. */
  hasLife(): boolean {
    return !this.#could('live', 'exclusive')
  }

  /** The right to start a spare; undefined where somebody else starts one, or there can be no pool. */
  mutex(): FileLock | undefined {
    return this.#made(() => tryLockFile(join(this.path, 'mutex'), 'exclusive'))
  }

  /** Makes the place of a new spare, which is there while the lock is held. */
  reserve(id: string): FileLock {
    return lockFile(join(this.path, `${id}.lock`), 'exclusive')
  }

  /** Writes what a spare tells of itself. */
  save(entry: SpareEntry): void {
    const file = join(this.path, `${entry.id}.json`)
    writeFileSync(`${file}.new`, entryBytes(entry), { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }

  /** What a spare told of itself; undefined where it has not yet. */
  read(id: string): SpareEntry | undefined {
    try {
      const entry = parseEntry(readStart(join(this.path, `${id}.json`)))
      return entry.id === id ? entry : undefined
    } catch {
      return undefined
    }
  }

  /** Ids of the spares that live; what dead ones left is removed. */
  spares(): readonly string[] {
    return this.#places().filter((id) => this.has(id))
  }

  /** As `spares`, for who only looks: what dead ones left stays. */
  living(): readonly string[] {
    return this.#places().filter((id) => isHeld(join(this.path, `${id}.lock`)))
  }

  /** True while a spare's process lives and is not claimed; what a dead one left is removed. */
  has(id: string): boolean {
    try {
      using dead = tryLockFile(join(this.path, `${id}.lock`), 'exclusive')
      if (dead === undefined) return true
      this.forget(id)
    } catch {
      // gone meanwhile, folder and all
    }
    return false
  }

  /** Removes the files of a spare that is claimed or has ended. Its lock goes last. */
  forget(id: string): void {
    for (const end of ['sock', 'json', 'json.new', 'lock']) {
      rmSync(join(this.path, `${id}.${end}`), { force: true })
    }
  }

  /** Removes the folder if nobody needs it any more. */
  tidy(): void {
    try {
      if (!this.usable) return
      using mutex = tryLockFile(join(this.path, 'mutex'), 'exclusive')
      using last = tryLockFile(join(this.path, 'live'), 'exclusive')
      if (mutex === undefined || last === undefined || this.spares().length > 0) return
      for (const name of ['live', 'mutex']) rmSync(join(this.path, name), { force: true })
      rmdirSync(this.path)
      rmdirSync(this.#pool)
    } catch {
      // somebody came in between, or other pools are there
    }
  }

  // Whoever tidies up may take the folder away between two steps: then it is made again.
  #made<T>(take: () => T): T | undefined {
    for (;;) {
      try {
        for (const folder of [this.#pool, this.path]) {
          mkdirIfMissing(folder)
          if (!isPrivate(folder)) return undefined
        }
        return take()
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return undefined
      }
    }
  }

  #could(name: string, kind: LockKind): boolean {
    try {
      using lock = tryLockFile(join(this.path, name), kind)
      return lock !== undefined
    } catch (error) {
      return (error as NodeJS.ErrnoException).code === 'ENOENT'
    }
  }

  /** Ids of the spares that live, and of those that left their files. */
  #places(): readonly string[] {
    try {
      return readdirSync(this.path)
        .filter((name) => name.endsWith('.lock'))
        .map((name) => name.slice(0, -'.lock'.length))
        .filter((id) => SPARE_ID.test(id))
    } catch {
      return []
    }
  }
}

/** True where somebody holds the lock of a file; the file is not made for that. */
function isHeld(path: string): boolean {
  let fd: number
  try {
    fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch {
    return false
  }
  try {
    return !tryLockOpenFile(fd, path, 'shared') && existsSync(path)
  } finally {
    closeSync(fd)
  }
}

function mkdirIfMissing(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function isPrivate(path: string): boolean {
  const found = lstatSync(path, { throwIfNoEntry: false })
  return (
    found?.isDirectory() === true && found.uid === process.geteuid?.() && (found.mode & 0o077) === 0
  )
}

function readStart(file: string): Uint8Array {
  const fd = openSync(file, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    const bytes = Buffer.alloc(MAX_ENTRY + 1)
    return bytes.subarray(0, readSync(fd, bytes, 0, bytes.length, 0))
  } finally {
    closeSync(fd)
  }
}
