import { closeSync, openSync } from 'node:fs'
import { DatabaseSync, type SQLOutputValue, type StatementSync } from 'node:sqlite'
import { formatResourceUri, type ResourceName } from '#lib/initdata'
import { canonicalize, type JsonObject, type JsonValue, object, parseJson } from '#lib/json'
import { KbsError } from '../kbs-error.ts'
import { AUDIT_START, chainHash } from './audit-chain.ts'
import type {
  AuditEntry,
  Change,
  DocumentKind,
  ResourceInfo,
  Store,
  StoredResource,
} from './store.ts'

// EXCLUSIVE: one broker a database. A second one would keep other rules in memory than this one.
const SCHEMA = `
PRAGMA busy_timeout = 500;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
CREATE TABLE IF NOT EXISTS resource (
  namespace TEXT NOT NULL, type TEXT NOT NULL, tag TEXT NOT NULL, version INTEGER NOT NULL,
  value BLOB NOT NULL, size INTEGER NOT NULL, updated_at TEXT NOT NULL, deleted INTEGER NOT NULL,
  PRIMARY KEY (namespace, type, tag, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (
  kind TEXT NOT NULL, id TEXT NOT NULL, json TEXT NOT NULL, PRIMARY KEY (kind, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS decision (
  id TEXT PRIMARY KEY, json TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS audit (
  seq INTEGER PRIMARY KEY, text TEXT NOT NULL, hash BLOB NOT NULL
) STRICT;
PRAGMA user_version = 1;
`

type Row = Record<string, SQLOutputValue>

interface Job {
  readonly changes: readonly Change[]
  readonly event: Readonly<Record<string, JsonValue>>
  resolve(versions: number[]): void
  reject(error: unknown): void
}

/** Options of `openSqliteStore`. */
export interface SqliteStoreOptions {
  /** Milliseconds since 1970. */
  now(): number
}

/**
 * A store in one SQLite file. Commits that arrive in one turn of the event loop share one
 * transaction and one fsync; each has its own savepoint, so that one that fails harms no other.
 * Throws KbsError KBS_RUNNING if another process has it open.
 */
export function openSqliteStore(file: string, options: SqliteStoreOptions): Store {
  // Made here with its mode: SQLite would make it readable for everybody.
  if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600))
  const db = new DatabaseSync(file)
  try {
    db.exec(SCHEMA)
    return new SqliteStore(db, options)
  } catch (cause) {
    db.close()
    if (!String(cause).includes('locked')) throw cause
    throw new KbsError('KBS_RUNNING', `opening ${file}: another broker holds it`, { cause })
  }
}

class SqliteStore implements Store {
  readonly #db: DatabaseSync
  readonly #now: () => number
  readonly #prepared = new Map<string, StatementSync>()
  #queue: Job[] = []

  constructor(db: DatabaseSync, options: SqliteStoreOptions) {
    this.#db = db
    this.#now = options.now
  }

  async resource(name: ResourceName, version?: number): Promise<StoredResource | undefined> {
    const key = [name.namespace, name.type, name.tag]
    const where = 'FROM resource WHERE namespace = ? AND type = ? AND tag = ?'
    const row =
      version === undefined
        ? this.#sql(`SELECT * ${where} ORDER BY version DESC LIMIT 1`).get(...key)
        : this.#sql(`SELECT * ${where} AND version = ?`).get(...key, version)
    if (row === undefined || row.deleted === 1) return undefined
    return { ...info(row), value: row.value as Uint8Array }
  }

  async resources(): Promise<ResourceInfo[]> {
    return this.#sql(
      `SELECT namespace, type, tag, max(version) AS version, size, updated_at, deleted
       FROM resource GROUP BY namespace, type, tag HAVING deleted = 0
       ORDER BY namespace, type, tag`,
    )
      .all()
      .map(info)
  }

  async history(name: ResourceName): Promise<ResourceInfo[]> {
    return this.#sql(
      `SELECT namespace, type, tag, version, size, updated_at, deleted FROM resource
       WHERE namespace = ? AND type = ? AND tag = ? ORDER BY version`,
    )
      .all(name.namespace, name.type, name.tag)
      .map(info)
  }

  async document(kind: DocumentKind, id: string): Promise<JsonObject | undefined> {
    const row = this.#sql('SELECT json FROM document WHERE kind = ? AND id = ?').get(kind, id)
    return row === undefined ? undefined : json(row)
  }

  async documents(kind: DocumentKind): Promise<{ id: string; document: JsonObject }[]> {
    return this.#sql('SELECT id, json FROM document WHERE kind = ? ORDER BY id')
      .all(kind)
      .map((row) => ({ id: String(row.id), document: json(row) }))
  }

  async decision(id: string): Promise<JsonObject | undefined> {
    const row = this.#sql('SELECT json FROM decision WHERE id = ?').get(id)
    return row === undefined ? undefined : json(row)
  }

  commit(
    changes: readonly Change[],
    event: Readonly<Record<string, JsonValue>>,
  ): Promise<number[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ changes, event, resolve, reject })
      if (this.#queue.length === 1) setImmediate(() => this.#flush())
    })
  }

  async audit(after: number, limit: number): Promise<AuditEntry[]> {
    return this.#sql('SELECT seq, text, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?')
      .all(after, limit)
      .map(entry)
  }

  async auditHead(): Promise<AuditEntry | undefined> {
    const row = this.#head()
    return row === undefined ? undefined : entry(row)
  }

  async close(): Promise<void> {
    this.#flush()
    this.#db.close()
  }

  #flush(): void {
    const jobs = this.#queue
    if (jobs.length === 0) return
    this.#queue = []
    const outcomes: (() => void)[] = []
    try {
      this.#db.exec('BEGIN IMMEDIATE')
      for (const job of jobs) outcomes.push(this.#attempt(job))
      this.#db.exec('COMMIT')
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
      for (const job of jobs) job.reject(error)
      return
    }
    for (const settle of outcomes) settle()
  }

  // Runs one job inside its savepoint; how it ended is told only after the common commit.
  #attempt(job: Job): () => void {
    this.#db.exec('SAVEPOINT job')
    try {
      const versions = this.#apply(job)
      this.#db.exec('RELEASE job')
      return () => job.resolve(versions)
    } catch (error) {
      this.#db.exec('ROLLBACK TO job; RELEASE job')
      return () => job.reject(error)
    }
  }

  #apply(job: Job): number[] {
    const time = new Date(this.#now()).toISOString()
    const versions: number[] = []
    for (const change of job.changes) {
      switch (change.op) {
        case 'put-resource':
          versions.push(this.#putResource(change, change.value, change.size, time))
          break
        case 'delete-resource':
          this.#putResource(change, new Uint8Array(), 0, time)
          break
        case 'put-document':
          this.#sql('INSERT OR REPLACE INTO document VALUES (?, ?, ?)').run(
            change.kind,
            change.id,
            canonicalize(change.document),
          )
          break
        case 'delete-document':
          this.#sql('DELETE FROM document WHERE kind = ? AND id = ?').run(change.kind, change.id)
          break
        case 'put-decision':
          this.#sql('INSERT INTO decision VALUES (?, ?)').run(
            change.id,
            canonicalize(change.document),
          )
          break
      }
    }
    this.#append(
      { ...job.event, ...(versions[0] === undefined ? {} : { version: versions[0] }) },
      time,
    )
    return versions
  }

  #putResource(
    change: { readonly op: string; readonly name: ResourceName; readonly create?: boolean },
    value: Uint8Array,
    size: number,
    time: string,
  ): number {
    const { namespace, type, tag } = change.name
    const last = this.#sql(
      `SELECT version, deleted FROM resource WHERE namespace = ? AND type = ? AND tag = ?
       ORDER BY version DESC LIMIT 1`,
    ).get(namespace, type, tag)
    const exists = last !== undefined && last.deleted === 0
    const uri = formatResourceUri(change.name)
    if (change.create === true && exists) {
      throw new KbsError('RESOURCE_EXISTS', `creating ${uri}: it exists`)
    }
    const deleting = change.op === 'delete-resource'
    if (deleting && !exists) {
      throw new KbsError('RESOURCE_NOT_FOUND', `deleting ${uri}: there is none`)
    }
    const version = Number(last?.version ?? 0) + 1
    this.#sql('INSERT INTO resource VALUES (?, ?, ?, ?, ?, ?, ?, ?)').run(
      ...[namespace, type, tag, version, value, size, time, deleting ? 1 : 0],
    )
    return version
  }

  #append(event: Readonly<Record<string, JsonValue>>, time: string): void {
    const last = this.#head()
    const seq = Number(last?.seq ?? 0) + 1
    const text = canonicalize({ seq, time, ...event })
    const hash = chainHash((last?.hash as Uint8Array | undefined) ?? AUDIT_START, text)
    this.#sql('INSERT INTO audit VALUES (?, ?, ?)').run(seq, text, hash)
  }

  #head(): Row | undefined {
    return this.#sql('SELECT seq, text, hash FROM audit ORDER BY seq DESC LIMIT 1').get()
  }

  #sql(text: string): StatementSync {
    const found = this.#prepared.get(text)
    if (found !== undefined) return found
    const statement = this.#db.prepare(text)
    this.#prepared.set(text, statement)
    return statement
  }
}

function info(row: Row): ResourceInfo {
  return {
    name: { namespace: String(row.namespace), type: String(row.type), tag: String(row.tag) },
    version: Number(row.version),
    size: Number(row.size),
    updatedAt: String(row.updated_at),
    deleted: row.deleted === 1,
  }
}

function json(row: Row): JsonObject {
  return object(parseJson(String(row.json)), 'stored document')
}

function entry(row: Row): AuditEntry {
  return { seq: Number(row.seq), text: String(row.text), hash: row.hash as Uint8Array }
}
