import {
  closeSync,
  fstatSync,
  ftruncateSync,
  linkSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheFileKind } from '#lib/cache'
import { HEADER_BLOCK, parseHeaderBlock, sealedLayout } from '#lib/sealed'
import { LayerStore } from '../../../src/host/cache/layer-store.ts'
import { chance, noise } from './cache-edit.ts'

/** Puts back what an attack changed, as far as it is still there. */
export type Undo = () => void

const nothing: Undo = () => {}

/** The cache of a node whose agents are at work, in the hands of its host. */
export class BusyCache {
  readonly root: string
  readonly directory: string
  // Every record that was ever seen, by its name.
  readonly #seen = new Map<string, Set<string>>()

  constructor(root: string) {
    this.root = root
    this.directory = join(root, 'layers')
  }

  /** One of the records or data files that are there now, but not this one. */
  pick(kind: 'record' | 'data', not?: string): string | undefined {
    const names = this.#names(kind).filter((name) => name !== not)
    return names[chance(Math.max(1, names.length))]
  }

  /** Bytes of another file than this one. */
  another(kind: 'record' | 'data', not: string): Uint8Array | undefined {
    const name = this.pick(kind, not)
    return name === undefined ? undefined : this.bytes(name)
  }

  /** Writes within a file that is there, while whoever has it open goes on. */
  overwrite(name: string, change: (bytes: Uint8Array) => void): Undo {
    return this.#inPlace(name, (fd, genuine) => {
      const bytes = Uint8Array.from(genuine)
      change(bytes)
      writeSync(fd, bytes, 0, bytes.length, 0)
    })
  }

  /** Cuts a file, and makes it as long as before where it shall have zeros instead. */
  cut(name: string, zeros: boolean): Undo {
    return this.#inPlace(name, (fd, genuine) => {
      ftruncateSync(fd, chance(genuine.length))
      if (zeros) ftruncateSync(fd, genuine.length)
    })
  }

  /** Lets a name lead to another file with these bytes. */
  exchange(name: string, bytes: Uint8Array): Undo {
    const [path, aside] = [join(this.directory, name), join(this.root, 'aside')]
    rmSync(aside, { force: true })
    linkSync(path, aside)
    const other = join(this.root, 'other')
    writeFileSync(other, bytes)
    renameSync(other, path)
    return () => renameSync(aside, path)
  }

  /** Bytes of a file. */
  bytes(name: string): Uint8Array {
    return readFileSync(join(this.directory, name))
  }

  /** Takes a file away. */
  remove(name: string): Undo {
    rmSync(join(this.directory, name))
    return nothing
  }

  /** A record that had this name before, where there was another. */
  older(name: string): Uint8Array | undefined {
    const seen = this.#seen.get(name) ?? new Set()
    this.#seen.set(name, seen)
    const now = Buffer.from(this.bytes(name)).toString('hex')
    const others = [...seen].filter((each) => each !== now)
    seen.add(now)
    const one = others[chance(Math.max(1, others.length))]
    return one === undefined ? undefined : Buffer.from(one, 'hex')
  }

  /** What a host of good will does when its disk is full. */
  collect(): void {
    new LayerStore(this.root).collect(0)
  }

  /** An empty cache. */
  clear(): void {
    for (const name of readdirSync(this.directory)) rmSync(join(this.directory, name))
    this.#seen.clear()
  }

  #names(kind: 'record' | 'data'): readonly string[] {
    return readdirSync(this.directory).filter((name) => cacheFileKind(name)?.kind === kind)
  }

  #inPlace(name: string, change: (fd: number, genuine: Uint8Array) => void): Undo {
    const fd = openSync(join(this.directory, name), 'r+')
    const genuine = new Uint8Array(fstatSync(fd).size)
    readSync(fd, genuine, 0, genuine.length, 0)
    change(fd, genuine)
    return () => {
      // In this order: a part of it followed by zeros would be one more attack.
      writeSync(fd, genuine, 0, genuine.length, 0)
      ftruncateSync(fd, genuine.length)
      closeSync(fd)
    }
  }
}

/** An attack that the host makes again and again while agents look, seal and read. */
export interface BusyEdit {
  readonly name: string
  /** Whether a reader that checks nothing gets other bytes from it. */
  readonly twin: 'lies' | 'harmless'
  /** What may come of it where it is not the layer; the first of them must. */
  readonly codes: readonly ('miss' | 'SEALED_MISMATCH' | 'EIO')[]
  /** Undefined where there was nothing to do it with. */
  readonly edit: (cache: BusyCache, record: string, data: string) => Undo | undefined
}

const MISS = ['miss'] as const
const ANY = ['miss', 'SEALED_MISMATCH', 'EIO'] as const

function chunksOf(data: Uint8Array): Uint8Array {
  const { tagsOffset } = sealedLayout(parseHeaderBlock(data.subarray(0, HEADER_BLOCK)))
  return data.subarray(HEADER_BLOCK, tagsOffset)
}

/** All of them, on a record and a data file that are there. */
export const BUSY_EDITS: readonly BusyEdit[] = [
  {
    name: 'a bit of a record flipped',
    twin: 'lies',
    codes: MISS,
    edit: (cache, record) =>
      cache.overwrite(record, (bytes) => {
        // One: several at once would be noticed by one check or another.
        const at = chance(bytes.length)
        bytes[at] = (bytes[at] ?? 0) ^ (1 << chance(8))
      }),
  },
  {
    name: 'records exchanged for those of other layers',
    twin: 'lies',
    codes: MISS,
    edit: (cache, record) => {
      const other = cache.another('record', record)
      return other && cache.exchange(record, other)
    },
  },
  {
    name: 'records overwritten with those of other layers',
    twin: 'lies',
    codes: MISS,
    edit: (cache, record) => {
      const other = cache.another('record', record)
      return other && cache.overwrite(record, (bytes) => bytes.set(other.subarray(0, bytes.length)))
    },
  },
  {
    name: 'older records put back',
    twin: 'harmless',
    codes: MISS,
    edit: (cache, record) => {
      const older = cache.older(record)
      // without a record somebody makes a newer one
      if (older === undefined) cache.remove(record)
      else cache.exchange(record, older)
      return older && (() => cache.remove(record))
    },
  },
  {
    name: 'records cut or zeroed',
    twin: 'harmless',
    codes: MISS,
    edit: (cache, record) =>
      chance(2) === 0 ? cache.cut(record, false) : cache.overwrite(record, (all) => all.fill(0)),
  },
  {
    name: 'records of noise',
    twin: 'harmless',
    codes: MISS,
    edit: (cache, record) => cache.exchange(record, noise(193)),
  },
  {
    name: 'data exchanged for those of other layers',
    twin: 'lies',
    codes: ANY,
    edit: (cache, _, data) => {
      const other = cache.another('data', data)
      return other && cache.exchange(data, other)
    },
  },
  {
    name: 'chunks overwritten with those of other data',
    twin: 'lies',
    codes: ['EIO'],
    edit: (cache, _, data) => {
      const other = cache.another('data', data)
      return other && cache.overwrite(data, (bytes) => bytes.set(chunksOf(other), HEADER_BLOCK))
    },
  },
  {
    name: 'data cut, or zeroed from somewhere on',
    twin: 'lies',
    codes: ANY,
    edit: (cache, _, data) => cache.cut(data, chance(2) === 0),
  },
  {
    name: 'records and data removed',
    twin: 'harmless',
    codes: ANY,
    edit: (cache, record, data) => cache.remove(chance(2) === 0 ? record : data),
  },
  {
    name: 'the node cleans up',
    twin: 'harmless',
    codes: MISS,
    edit: (cache) => {
      cache.collect()
      return nothing
    },
  },
]
