import { existsSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type FileLock, lockFile } from '#platform/lock'
import {
  dataProblem,
  fileIdOf,
  holdUnused,
  type KeptFile,
  type KeptRecord,
  type LayerFolder,
  measureLayerFolder,
  readLayerFolder,
} from './layer-folder.ts'

/** A layer that the node keeps. */
export interface KeptLayer {
  readonly name: string
  /** Bytes of record and data. */
  readonly size: number
  readonly lastUsed: Date
  readonly inUse: boolean
}

/** What a clean-up did. */
export interface Collected {
  /** Names of layers, and of files that belonged to none. */
  readonly removed: readonly string[]
  /** Bytes. */
  readonly freed: number
}

/** What can be said of the cache without the keys, which never leave the enclaves. */
export interface Verdict {
  /** Nothing is bad. */
  readonly ok: boolean
  /** Records looked at. */
  readonly records: number
  readonly bad: readonly { readonly file: string; readonly found: string }[]
  /** Of dead agents, or of layers that were sealed twice at once; `gc` removes them. */
  readonly leftovers: readonly string[]
  /** Not made by any agent; they stay. */
  readonly unknown: readonly string[]
}

/** Folder of the layers that a node keeps, below its root; `/layers` for the enclaves. */
export function layersFolder(root: string): string {
  return join(root, 'layers')
}

/**
 * The sealed layers of a node as their host sees them (docs/formats/cache-record.md): names, sizes, times
 * and who uses them. Only agents add to it. Methods throw errno errors.
 */
export class LayerStore {
  readonly folder: string
  readonly #mutex: string

  constructor(root: string) {
    this.folder = layersFolder(root)
    this.#mutex = join(root, 'layers.lock')
  }

  /** Makes the folder that agents need. */
  create(): void {
    mkdirSync(this.folder, { recursive: true, mode: 0o700 })
  }

  /** The layers that a hit could find, least recently used first. */
  list(): readonly KeptLayer[] {
    using _lock = this.#lock()
    const folder = readLayerFolder(this.folder)
    return layersOf(folder).map(({ record, data }) => ({
      name: record.name,
      size: record.size + data.size,
      lastUsed: new Date(record.modified),
      inUse: this.#inUse(data),
    }))
  }

  /** How many layers there are, and the bytes of all files; undefined where the node keeps none. */
  summary(): { readonly count: number; readonly size: number } | undefined {
    if (!existsSync(this.folder)) return undefined
    const { records, size } = measureLayerFolder(this.folder)
    return { count: records, size }
  }

  /**
   * Removes what is of no use to anybody, then the least recently used layers until the others have
   * `maxSize` bytes together. What is in use stays, and counts.
   */
  collect(maxSize: number): Collected {
    using _lock = this.#lock()
    return new Collection(this.folder).run(maxSize)
  }

  /** As `collect`, at the price of one look where the layers fit; for after each start. */
  trim(maxSize: number): Collected {
    using _lock = this.#lock()
    const { size, unfinished } = measureLayerFolder(this.folder)
    if (size <= maxSize && unfinished === 0) return { removed: [], freed: 0 }
    return new Collection(this.folder).run(maxSize)
  }

  /**
   * Makes room of the bytes that `missing` says when nobody else makes room: removes what is of no use to
   * anybody, then the least recently used layers until so much is freed. What is in use stays.
   */
  relieve(missing: () => number): Collected {
    using _lock = this.#lock()
    const bytes = missing()
    return bytes > 0 ? new Collection(this.folder).free(bytes) : { removed: [], freed: 0 }
  }

  /**
   * Takes back what was found damaged: no agent finds these sealed files any more. Names of other files
   * are passed over.
   */
  forget(files: readonly string[]): void {
    using _lock = this.#lock()
    const { records, data } = readLayerFolder(this.folder)
    for (const { file, fileId } of records) {
      const damaged = fileId === undefined ? undefined : data.get(fileId)
      if (damaged === undefined || !files.includes(damaged.file)) continue
      rmSync(join(this.folder, file), { force: true })
      using unused = holdUnused(join(this.folder, damaged.file))
      if (unused !== undefined) rmSync(join(this.folder, damaged.file), { force: true })
    }
  }

  /** Looks at every record and every header. */
  verify(): Verdict {
    using _lock = this.#lock()
    const folder = readLayerFolder(this.folder)
    const bad = folder.records.flatMap((record) => {
      const found = recordProblem(this.folder, folder, record)
      return found === undefined ? [] : [{ file: record.file, found }]
    })
    const named = new Set(folder.records.map(({ fileId }) => fileId))
    const orphans = [...folder.data].filter(([fileId]) => !named.has(fileId)).map(([, f]) => f)
    const leftovers = [...orphans, ...folder.unfinished].filter((file) => !this.#inUse(file))
    return {
      ok: bad.length === 0,
      records: folder.records.length,
      bad,
      leftovers: leftovers.map(({ file }) => file),
      unknown: folder.unknown,
    }
  }

  #inUse({ file }: KeptFile): boolean {
    using unused = holdUnused(join(this.folder, file))
    return unused === undefined
  }

  #lock(): FileLock | undefined {
    try {
      return lockFile(this.#mutex, 'exclusive')
    } catch (error) {
      // There is no node yet.
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  }
}

interface Layer {
  readonly record: KeptRecord
  readonly data: KeptFile
}

function layersOf({ records, data }: LayerFolder): readonly Layer[] {
  return records
    .flatMap((record) => {
      const file = record.fileId === undefined ? undefined : data.get(record.fileId)
      return file === undefined ? [] : [{ record, data: file }]
    })
    .sort((a, b) => a.record.modified - b.record.modified)
}

function recordProblem(
  path: string,
  { data }: LayerFolder,
  record: KeptRecord,
): string | undefined {
  if (record.fileId === undefined) return 'it is not a record of version 1'
  const file = data.get(record.fileId)
  if (file === undefined) return 'its data is missing'
  const found = dataProblem(path, record.fileId, file)
  return found === undefined ? undefined : `${file.file}: ${found}`
}

function sizeOf(files: readonly KeptFile[]): number {
  return files.reduce((sum, { size }) => sum + size, 0)
}

/** One clean-up. */
class Collection {
  readonly #path: string
  readonly #removed: string[] = []
  #freed = 0

  constructor(path: string) {
    this.#path = path
  }

  run(maxSize: number): Collected {
    this.#leftovers(readLayerFolder(this.#path))
    const folder = readLayerFolder(this.#path)
    let total = sizeOf([...folder.records, ...folder.data.values(), ...folder.unfinished])
    for (const layer of layersOf(folder)) {
      if (total <= maxSize) break
      if (this.#layer(layer)) total -= layer.record.size + layer.data.size
    }
    return this.#collected()
  }

  free(bytes: number): Collected {
    this.#leftovers(readLayerFolder(this.#path))
    for (const layer of layersOf(readLayerFolder(this.#path))) {
      if (this.#freed >= bytes) break
      this.#layer(layer)
    }
    return this.#collected()
  }

  #collected(): Collected {
    return { removed: this.#removed, freed: this.#freed }
  }

  #leftovers(folder: LayerFolder): void {
    const bad = folder.records.filter(
      (record) => recordProblem(this.#path, folder, record) !== undefined,
    )
    for (const record of bad) {
      rmSync(join(this.#path, record.file), { force: true })
      this.#count(record.name, [record])
    }
    const named = new Set(folder.records.filter((r) => !bad.includes(r)).map((r) => r.fileId))
    const orphans = [...folder.data].filter(([fileId]) => !named.has(fileId))
    for (const file of [...orphans.map(([, f]) => f), ...folder.unfinished]) {
      using unused = holdUnused(join(this.#path, file.file))
      if (unused === undefined) continue
      rmSync(join(this.#path, file.file), { force: true })
      this.#count(file.file, [file])
    }
  }

  /** Record before data; false where somebody uses it. */
  #layer({ record, data }: Layer): boolean {
    using unused = holdUnused(join(this.#path, data.file))
    if (unused === undefined) return false
    const path = join(this.#path, record.file)
    // An agent may have renamed another record over it meanwhile, which names other data.
    if (fileIdOf(path) === record.fileId) rmSync(path, { force: true })
    rmSync(join(this.#path, data.file), { force: true })
    this.#count(record.name, [record, data])
    return true
  }

  #count(name: string, files: readonly KeptFile[]): void {
    this.#removed.push(name)
    this.#freed += sizeOf(files)
  }
}
