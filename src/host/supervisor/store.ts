import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { CodedError } from '#lib/errors'
import { type FileLock, lockFile, tryLockFile } from '#platform/lock'
import { checkState } from '../launcher/state-directory.ts'
import { processStart } from './process-start.ts'
import { type ContainerRecord, parseRecord, recordBytes } from './record.ts'

const ID = /^[0-9a-f]{64}$/
const PREFIX = /^[0-9a-f]{1,64}$/
// Folders that are no containers: half made ones, and those of work that has none.
const NEW = '.new-'
const WORK = '.work-'

/** A folder for one job that is no container; disposing of it removes it. */
export interface WorkFolder extends Disposable {
  readonly path: string
}

/**
 * The containers of one node, as files below `ROOT/containers` and sockets below `STATE/containers`. Made
 * for a state directory that others could write to, it throws CodedError STATE_UNSAFE.
 */
export class ContainerStore {
  readonly #root: string
  readonly #state: string
  readonly #mutex: string

  constructor(places: { readonly root: string; readonly state: string }) {
    checkState(places.state)
    this.#root = join(places.root, 'containers')
    this.#state = join(places.state, 'containers')
    this.#mutex = join(places.root, 'containers.lock')
  }

  /** Folder of a container; ciphertext and records only. */
  folder(id: string): string {
    return join(this.#root, id)
  }

  /** Control socket of a container's supervisor. */
  socket(id: string): string {
    return join(this.#state, `${id.slice(0, 24)}.sock`)
  }

  /**
   * Records a new container, whole or not at all. Throws CodedError CONTAINER_NAME_TAKEN; of several
   * that want one name at once, one gets it.
   */
  create(record: ContainerRecord): void {
    mkdirSync(this.#state, { recursive: true, mode: 0o700 })
    using _lock = this.#lock()
    if (this.list().some((other) => other.name === record.name)) {
      throw new CodedError('CONTAINER_NAME_TAKEN', `the name ${record.name} is taken`)
    }
    const fresh = join(this.#root, `${NEW}${record.id}`)
    mkdirSync(join(fresh, 'spool'), { recursive: true, mode: 0o700 })
    writeFileSync(join(fresh, 'state.json'), recordBytes(record), { mode: 0o600 })
    renameSync(fresh, this.folder(record.id))
  }

  /** Makes a folder for a job of this process; if the process dies, the next command removes it. */
  work(id: string): WorkFolder {
    using _lock = this.#lock()
    const path = join(this.#root, `${WORK}${id}`)
    mkdirSync(path, { mode: 0o700 })
    const holder = lockFile(join(path, 'holder'), 'exclusive')
    return {
      path,
      [Symbol.dispose]: () => {
        using _again = this.#lock()
        rmSync(path, { recursive: true, force: true })
        holder[Symbol.dispose]()
      },
    }
  }

  /** Writes a record in place of the one before, by rename. */
  save(record: ContainerRecord): void {
    const file = join(this.folder(record.id), 'state.json')
    try {
      writeFileSync(`${file}.new`, recordBytes(record), { mode: 0o600 })
      renameSync(`${file}.new`, file)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause
      const found = `container ${record.name} was removed meanwhile`
      throw new CodedError('CONTAINER_NOT_FOUND', found, { cause })
    }
  }

  /**
   * Every container whose record can be read, oldest first. One whose supervisor died shows as exited.
   */
  list(): readonly ContainerRecord[] {
    const records = this.#ids().flatMap((id) => {
      try {
        return [this.read(id)]
      } catch {
        return []
      }
    })
    return records.sort((a, b) => (a.createdAt < b.createdAt ? -1 : 1))
  }

  /** One record. Throws CodedError CONTAINER_RECORD_DAMAGED or CONTAINER_NOT_FOUND. */
  read(id: string): ContainerRecord {
    const short = id.slice(0, 12)
    let bytes: Uint8Array
    try {
      bytes = readFileSync(join(this.folder(id), 'state.json'))
    } catch (cause) {
      if (existsSync(this.folder(id))) throw damaged(id, cause)
      throw new CodedError('CONTAINER_NOT_FOUND', `no container ${short}`, { cause })
    }
    try {
      return withLoss(parseRecord(bytes))
    } catch (cause) {
      throw damaged(id, cause)
    }
  }

  /**
   * The id of the container that a full id, a name or a unique id prefix means; its record may be
   * damaged. Throws CodedError CONTAINER_NOT_FOUND or CONTAINER_AMBIGUOUS.
   */
  resolve(word: string): string {
    const ids = this.#ids()
    if (ids.includes(word)) return word
    const named = this.list().find((record) => record.name === word)
    if (named !== undefined) return named.id
    const found = PREFIX.test(word) ? ids.filter((id) => id.startsWith(word)) : []
    if (found.length > 1) {
      const text = `${found.length} container ids begin with ${word}`
      throw new CodedError('CONTAINER_AMBIGUOUS', text)
    }
    if (found[0] === undefined) throw new CodedError('CONTAINER_NOT_FOUND', `no container ${word}`)
    return found[0]
  }

  /** The record of what `resolve` finds. Throws also CodedError CONTAINER_RECORD_DAMAGED. */
  find(word: string): ContainerRecord {
    return this.read(this.resolve(word))
  }

  /** Deletes all that the node keeps of a container. */
  remove(id: string): void {
    rmSync(this.folder(id), { recursive: true, force: true })
    rmSync(this.socket(id), { force: true })
  }

  /** Removes what dead processes left half made. */
  sweep(): void {
    if (existsSync(this.#root)) this.#lock()[Symbol.dispose]()
  }

  // Folders are made under this lock, so what is half made while we hold it belongs to nobody.
  #lock(): FileLock {
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    const lock = lockFile(this.#mutex, 'exclusive')
    for (const name of readdirSync(this.#root)) {
      const path = join(this.#root, name)
      if (name.startsWith(NEW)) rmSync(path, { recursive: true, force: true })
      if (!name.startsWith(WORK)) continue
      try {
        using dead = tryLockFile(join(path, 'holder'), 'exclusive')
        if (dead !== undefined) rmSync(path, { recursive: true, force: true })
      } catch {
        // its holder removes it just now
      }
    }
    return lock
  }

  #ids(): readonly string[] {
    return existsSync(this.#root) ? readdirSync(this.#root).filter((name) => ID.test(name)) : []
  }
}

function damaged(id: string, cause: unknown): CodedError {
  const found = `the record of container ${id.slice(0, 12)} cannot be read`
  return new CodedError('CONTAINER_RECORD_DAMAGED', found, { cause })
}

// The supervisor is the only writer while it lives (before it, the command that starts it); once it
// is gone, nobody else will say that the container ended with it.
function withLoss(record: ContainerRecord): ContainerRecord {
  if (record.state === 'exited') return record
  if (processStart(record.supervisorPid) === record.supervisorStart) return record
  return {
    ...record,
    state: 'exited',
    exitCode: 137,
    code: 'SUPERVISOR_LOST',
    message: 'the supervisor of this container ended without a word',
    pid: 0,
    agentPid: 0,
    initPid: 0,
  }
}
