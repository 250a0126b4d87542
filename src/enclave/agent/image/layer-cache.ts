import { randomBytes } from 'node:crypto'
import { closeSync, constants, openSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { equalBytes, toHex } from '#lib/bytes'
import {
  type CacheEntry,
  openRecord,
  RECORD_LENGTH,
  type RecordKeys,
  recordFile,
  sealRecord,
} from '#lib/cache'
import { CodedError } from '#lib/errors'
import {
  cachedLayerFile,
  HEADER_BLOCK,
  headerBlock,
  parseHeader,
  rootHash,
  type SealedSink,
  sealedLayout,
} from '#lib/sealed'
import { tryLockOpenFile } from '#platform/lock'
import { isStorageFailure, removeSpoolFile, renameSpoolFile, SpoolFile } from './spool.ts'

/** A layer's place in the cache: `LID`, and the name and key of its record. */
export interface CacheSlot {
  readonly layerId: Uint8Array
  readonly keys: RecordKeys
}

/** A layer that lies in the cache, usable by this pod for as long as the cache is held. */
export interface CachedLayer extends CacheEntry {
  /** Name of the sealed file. */
  readonly file: string
}

/** Never through a link, never waiting for a fifo. */
const PLAIN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
/** Tag bytes read at a time: a whole table may have 256 MiB. */
const TAGS_AT_ONCE = 2 ** 20
/** Bytes that may wait for the disk: 32 MiB. */
const DIRTY = 32 * 2 ** 20
/** Who looks whether a file is in use holds it for an instant; who removes it does so once and for all. */
const LOCK_TRIES = 20
const LOCK_PAUSE_MS = 5

/**
 * The node's cache of sealed layers, shared with other agents (docs/formats/cache-record.md). The
 * directory is the host's: whatever is found there is a claim. Files in use are locked until `release`.
 */
export class LayerCache {
  readonly #directory: string
  // Descriptors, not handles: a handle that nobody refers to any more is an error of the whole program.
  readonly #held: number[] = []
  readonly #published: Promise<void>[] = []

  constructor(directory: string) {
    this.#directory = directory
  }

  /**
   * The layer of a slot, proven as far as it can be without reading it all. Whatever is wrong with
   * record or file, there is none. The caller wipes its key.
   */
  async find(slot: CacheSlot): Promise<CachedLayer | undefined> {
    let entry: CacheEntry | undefined
    try {
      await using record = await this.#open(recordFile(slot.keys.name))
      entry = openRecord(slot.keys, slot.layerId, await readUpTo(record, RECORD_LENGTH + 1))
      const file = await this.#prove(entry)
      const now = new Date()
      // For the host's choice of what to remove; it does not matter if it cannot be noted.
      await record.utimes(now, now).catch(() => {})
      return { ...entry, file }
    } catch {
      entry?.key.fill(0)
      return undefined
    }
  }

  /**
   * Lets `seal` write a layer into the cache, and begins to record it (`settled`). Undefined where the
   * cache cannot take it; throws what else `seal` throws. Nothing unfinished stays, unless the process is
   * killed.
   */
  async add<T extends Omit<CacheEntry, 'header'> & { readonly encodedHeader: Uint8Array }>(
    slot: CacheSlot,
    seal: (sink: SealedSink) => Promise<T>,
  ): Promise<CachedLayer | undefined> {
    let unfinished: { readonly name: string; readonly file: SpoolFile }
    try {
      unfinished = await this.#create()
    } catch (error) {
      if (isStorageFailure(error)) return undefined
      throw error
    }
    const { name, file } = unfinished
    await using stack = new AsyncDisposableStack()
    stack.use(file)
    let sealed: T | undefined
    let final = name
    try {
      sealed = await seal(writtenEarly(file))
      final = cachedLayerFile(parseHeader(sealed.encodedHeader).fileId)
      await renameSpoolFile(this.#directory, name, final)
      this.#hold(final)
    } catch (error) {
      sealed?.key.fill(0)
      for (const left of [name, final]) await removeSpoolFile(this.#directory, left)
      if (isStorageFailure(error)) return undefined
      throw error
    }
    const { key, root, encodedHeader: header, opaqueRoot } = sealed
    const entry: CacheEntry = { key, root, header, opaqueRoot }
    // The keys of the slot are wiped before the disk is done.
    const record = sealRecord(slot.keys, slot.layerId, entry)
    stack.move()
    this.#published.push(this.#publish(file, recordFile(slot.keys.name), record))
    return { ...entry, file: final }
  }

  /** Resolves when every layer that was added is recorded, or could not be. */
  async settled(): Promise<void> {
    await Promise.all(this.#published.splice(0))
  }

  /** Lets the host remove what this agent used. */
  release(): void {
    for (const fd of this.#held.splice(0)) closeSync(fd)
  }

  async #open(name: string): Promise<FileHandle> {
    const handle = await open(join(this.#directory, name), PLAIN)
    try {
      if (!(await handle.stat()).isFile()) throw new Error('not a regular file')
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  /** Keeps a file that is locked already from being removed, until `release`. */
  #hold(name: string): void {
    const path = join(this.#directory, name)
    try {
      const fd = openSync(path, PLAIN)
      this.#held.push(fd)
      if (tryLockOpenFile(fd, path, 'shared')) return
    } catch (cause) {
      throw unkept(cause)
    }
    throw unkept()
  }

  /** Locks and proves the file of an entry. Throws if it is not what the entry says. */
  async #prove(entry: CacheEntry): Promise<string> {
    const header = parseHeader(entry.header)
    const name = cachedLayerFile(header.fileId)
    await using handle = await this.#open(name)
    await this.#lock(handle.fd, name)
    const layout = sealedLayout(header)
    if ((await handle.stat()).size !== layout.fileLength) throw new Error('another length')
    const block = await readUpTo(handle, HEADER_BLOCK)
    if (!equalBytes(block, headerBlock(entry.header))) throw new Error('another header')
    const hash = rootHash(entry.header, layout.tagsLength)
    for (let at = 0; at < layout.tagsLength; at += TAGS_AT_ONCE) {
      const length = Math.min(TAGS_AT_ONCE, layout.tagsLength - at)
      hash.update(await readUpTo(handle, length, layout.tagsOffset + at))
    }
    if (!equalBytes(hash.digest(), entry.root)) throw new Error('another root')
    this.#hold(name)
    return name
  }

  async #lock(fd: number, name: string): Promise<void> {
    const path = join(this.#directory, name)
    for (let tries = 1; !tryLockOpenFile(fd, path, 'shared'); tries++) {
      if (tries === LOCK_TRIES) throw new Error('it is being removed')
      await sleep(LOCK_PAUSE_MS)
    }
  }

  /** A new file that no host of good will removes while we live. */
  async #create(): Promise<{ readonly name: string; readonly file: SpoolFile }> {
    for (let tries = 1; ; tries++) {
      const name = `new-${toHex(randomBytes(16))}`
      const file = await SpoolFile.create(this.#directory, name)
      // Between its creation and its lock it looks like one that a dead agent left.
      if (tryLockOpenFile(file.fd, join(this.#directory, name), 'shared')) return { name, file }
      await file[Symbol.asyncDispose]()
      await removeSpoolFile(this.#directory, name)
      // A filesystem without locks has no cache: its host could not tell what is in use.
      if (tries === LOCK_TRIES) throw unkept()
    }
  }

  /**
   * Data before record, on the disk too: a record whose data a power failure took would be found. That
   * the names are lost is a miss, so the directory comes last. What fails here costs the next pod a download.
   */
  async #publish(data: SpoolFile, file: string, bytes: Uint8Array): Promise<void> {
    try {
      await using _data = data
      await data.sync()
      const { name, file: record } = await this.#create()
      await using _record = record
      try {
        await record.write(0, bytes)
        await record.sync()
        await renameSpoolFile(this.#directory, name, file)
      } catch (error) {
        await removeSpoolFile(this.#directory, name)
        throw error
      }
      await this.#syncDirectory()
    } catch {
      // The layer is sealed and held all the same.
    }
  }

  async #syncDirectory(): Promise<void> {
    await using directory = await open(this.#directory, constants.O_RDONLY | constants.O_DIRECTORY)
    await directory.sync()
  }
}

/** Lets the disk begin while the layer is still being sealed: little is left to wait for at its end. */
function writtenEarly(file: SpoolFile): SealedSink {
  let [dirty, busy] = [0, false]
  return {
    async write(offset, bytes) {
      await file.write(offset, bytes)
      dirty += bytes.length
      if (dirty < DIRTY || busy) return
      dirty = 0
      busy = true
      // If this fails, so does the one that counts.
      void file.sync().then(
        () => {
          busy = false
        },
        () => {},
      )
    },
  }
}

function unkept(cause?: unknown): CodedError {
  const found = 'its file does not stay where it is'
  return new CodedError('SPOOL_FAILED', `keeping a sealed layer on the node: ${found}`, { cause })
}

/** Up to `length` bytes from `position`; fewer only at the end of the file. */
async function readUpTo(handle: FileHandle, length: number, position = 0): Promise<Uint8Array> {
  const bytes = new Uint8Array(length)
  let got = 0
  while (got < length) {
    const { bytesRead } = await handle.read(bytes, got, length - got, position + got)
    if (bytesRead === 0) break
    got += bytesRead
  }
  return bytes.subarray(0, got)
}
