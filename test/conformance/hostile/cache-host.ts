import {
  closeSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { cacheFileKind, parseRecord, recordFile } from '#lib/cache'
import { cachedLayerFile } from '#lib/sealed'
import { type CacheLayer, cacheLayers, type Identity, keep, keysOf } from './cache-layers.ts'

/** Names and bytes of a record and of the data that it names. */
export interface Pair {
  readonly record: string
  readonly recordBytes: Uint8Array
  readonly data: string
  readonly dataBytes: Uint8Array
}

/** A layer and the pair that the cache has of it. */
export interface KeptPair extends Pair {
  readonly layer: CacheLayer
}

/** The cache directory in the hands of the host, who can put everything back as it was. */
export class CacheHost {
  readonly directory: string
  /** The layer that is attacked, as it was kept last. */
  readonly first: KeptPair
  /** What was kept of that layer before; its data is still there. */
  readonly older: KeptPair
  readonly second: KeptPair
  readonly plain: KeptPair
  readonly otherPlain: KeptPair
  readonly #folder: string
  readonly #genuine: ReadonlyMap<string, Uint8Array>
  readonly #touched = new Set<string>()

  private constructor(folder: string, kept: readonly KeptPair[]) {
    const [older, first, second, plain, otherPlain] = kept
    if (!older || !first || !second || !plain || !otherPlain) throw new Error('five pairs')
    this.older = older
    this.first = first
    this.second = second
    this.plain = plain
    this.otherPlain = otherPlain
    this.#folder = folder
    this.directory = join(folder, 'layers')
    this.#genuine = new Map(
      readdirSync(this.directory).map((name) => [name, readFileSync(this.path(name))]),
    )
  }

  /** Fills a cache in a new directory below `folder`. */
  static async fill(folder: string): Promise<CacheHost> {
    const directory = join(folder, 'layers')
    mkdirSync(directory)
    const [first, ...others] = await cacheLayers()
    if (first === undefined) throw new Error('no layers')
    const kept: KeptPair[] = []
    for (const layer of [first, first, ...others]) {
      // what is kept twice is what an agent does whose lookup missed
      await keep(directory, layer, layer.archive)
      kept.push({ layer, ...pairIn(directory, layer) })
    }
    return new CacheHost(folder, kept)
  }

  /** What another agent would keep, made in a cache of its own. */
  async forged(
    identity: Identity,
    archive: Uint8Array,
    headerId: Uint8Array = identity.layerId,
  ): Promise<Pair> {
    const directory = mkdtempSync(join(this.#folder, 'forged-'))
    await keep(directory, identity, archive, headerId)
    return pairIn(directory, identity)
  }

  /** The layers that an agent finds, each of its own. */
  get layers(): readonly CacheLayer[] {
    return [this.first, this.second, this.plain, this.otherPlain].map(({ layer }) => layer)
  }

  /** Path of a name in the directory. */
  path(name: string): string {
    return join(this.directory, name)
  }

  /** Writes within a file. */
  write(name: string, at: number, bytes: Uint8Array): void {
    this.#touched.add(name)
    const fd = openSync(this.path(name), 'r+')
    try {
      writeSync(fd, bytes, 0, bytes.length, at)
    } finally {
      closeSync(fd)
    }
  }

  /** Flips a bit of a byte of the genuine file. */
  flip(name: string, at: number, bit: number): void {
    this.write(name, at, Uint8Array.of((this.genuine(name)[at] ?? 0) ^ (1 << bit)))
  }

  /** Gives a file, which is created where it is not there, other bytes: the same file. */
  put(name: string, bytes: Uint8Array): void {
    this.#touched.add(name)
    writeFileSync(this.path(name), bytes)
  }

  /** Puts another file with these bytes in the place of a file. */
  exchange(name: string, bytes: Uint8Array): void {
    this.#touched.add(name)
    const other = join(this.#folder, 'other')
    writeFileSync(other, bytes)
    renameSync(other, this.path(name))
  }

  /** Cuts a file, or makes it longer with zeros. */
  resize(name: string, length: number): void {
    this.#touched.add(name)
    truncateSync(this.path(name), length)
  }

  /** Takes a name away, and lets `make` put something in its place. */
  replace(name: string, make: (path: string) => void = () => {}): void {
    this.#touched.add(name)
    rmSync(this.path(name), { recursive: true, force: true })
    make(this.path(name))
  }

  /** Bytes of a file before any attack. */
  genuine(name: string): Uint8Array {
    const bytes = this.#genuine.get(name)
    if (bytes === undefined) throw new RangeError(name)
    return bytes
  }

  /** Names of what is no longer as it was, of all that was touched. */
  changed(): readonly string[] {
    return [...this.#touched].filter((name) => !this.#isGenuine(name)).sort()
  }

  /** Puts back all that was touched. */
  restore(): void {
    for (const name of this.#touched) {
      const genuine = this.#genuine.get(name)
      if (genuine === undefined) rmSync(this.path(name), { recursive: true, force: true })
      else if (!this.#isGenuine(name)) this.#putBack(name, genuine)
    }
    this.#touched.clear()
  }

  #putBack(name: string, genuine: Uint8Array): void {
    const stat = lstatSync(this.path(name), { throwIfNoEntry: false })
    // what is no file, or another's too, is no place to write to
    const own = stat?.isFile() === true && stat.nlink === 1
    if (!own) this.replace(name, (path) => writeFileSync(path, genuine))
    else {
      this.resize(name, genuine.length)
      this.write(name, 0, genuine)
    }
  }

  #isGenuine(name: string): boolean {
    const [genuine, path] = [this.#genuine.get(name), this.path(name)]
    const stat = lstatSync(path, { throwIfNoEntry: false })
    if (genuine === undefined || stat === undefined) return false
    return stat.isFile() && stat.size === genuine.length && readFileSync(path).equals(genuine)
  }
}

/** The pair that an identity finds in a directory. */
function pairIn(directory: string, identity: Identity): Pair {
  using keys = keysOf(identity)
  const record = recordFile(keys.name)
  if (cacheFileKind(record)?.kind !== 'record') throw new RangeError(record)
  const recordBytes = readFileSync(join(directory, record))
  const data = cachedLayerFile(parseRecord(recordBytes).fileId)
  return { record, recordBytes, data, dataBytes: readFileSync(join(directory, data)) }
}
