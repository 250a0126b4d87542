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
import { lockFile } from '#platform/lock'
import { processStart } from './process-start.ts'
import { type ContainerRecord, parseRecord } from './record.ts'

const ID = /^[0-9a-f]{64}$/

/** The containers of one node, as files below `ROOT/containers` and sockets below `STATE/containers`. */
export class ContainerStore {
  readonly #root: string
  readonly #state: string

  constructor(places: { readonly root: string; readonly state: string }) {
    this.#root = join(places.root, 'containers')
    this.#state = join(places.state, 'containers')
  }

  /** Folder of a container; ciphertext and records only. */
  folder(id: string): string {
    return join(this.#root, id)
  }

  /** Control socket of a container's supervisor. */
  socket(id: string): string {
    return join(this.#state, `${id.slice(0, 24)}.sock`)
  }

  /** Records a new container. Throws CodedError CONTAINER_NAME_TAKEN. */
  create(record: ContainerRecord): void {
    mkdirSync(this.#root, { recursive: true, mode: 0o700 })
    mkdirSync(this.#state, { recursive: true, mode: 0o700 })
    using _lock = lockFile(join(this.#root, '.lock'), 'exclusive')
    if (this.list().some((other) => other.name === record.name)) {
      throw new CodedError('CONTAINER_NAME_TAKEN', `the name ${record.name} is taken`)
    }
    mkdirSync(join(this.folder(record.id), 'spool'), { recursive: true, mode: 0o700 })
    this.save(record)
  }

  /** Writes a record in place of the one before, by rename. */
  save(record: ContainerRecord): void {
    const file = join(this.folder(record.id), 'state.json')
    writeFileSync(`${file}.new`, `${JSON.stringify(record)}\n`, { mode: 0o600 })
    renameSync(`${file}.new`, file)
  }

  /** Every container whose record can be read, oldest first. A dead supervisor shows as exited. */
  list(): readonly ContainerRecord[] {
    if (!existsSync(this.#root)) return []
    const records = readdirSync(this.#root)
      .filter((name) => ID.test(name))
      .flatMap((id) => {
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
    let bytes: Uint8Array
    try {
      bytes = readFileSync(join(this.folder(id), 'state.json'))
    } catch (cause) {
      throw new CodedError('CONTAINER_NOT_FOUND', `no container ${id.slice(0, 12)}`, { cause })
    }
    try {
      return withLoss(parseRecord(bytes))
    } catch (cause) {
      const found = `the record of container ${id.slice(0, 12)} cannot be read`
      throw new CodedError('CONTAINER_RECORD_DAMAGED', found, { cause })
    }
  }

  /** The container that a name, full id or unique id prefix means. */
  find(word: string): ContainerRecord {
    const all = this.list()
    const exact = all.find((record) => record.name === word || record.id === word)
    if (exact !== undefined) return exact
    const found = /^[0-9a-f]+$/.test(word) ? all.filter((r) => r.id.startsWith(word)) : []
    if (found.length > 1) {
      throw new CodedError(
        'CONTAINER_AMBIGUOUS',
        `${found.length} container ids begin with ${word}`,
      )
    }
    if (found[0] === undefined) throw new CodedError('CONTAINER_NOT_FOUND', `no container ${word}`)
    return found[0]
  }

  /** Deletes all that the node keeps of a container. */
  remove(id: string): void {
    rmSync(this.folder(id), { recursive: true, force: true })
    rmSync(this.socket(id), { force: true })
  }
}

// The supervisor is the only writer while it lives; once it is gone, nobody else will say that the
// container ended with it.
function withLoss(record: ContainerRecord): ContainerRecord {
  if (record.state === 'exited' || record.supervisorPid === 0) return record
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
