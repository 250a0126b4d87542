import { type MessagePort, receiveMessageOnPort } from 'node:worker_threads'
import {
  ERRNO,
  FlatDirectory,
  type FuseAnswer,
  type FuseRequest,
  type ReadRequest,
} from '#lib/fuse'
import type { ScratchOutcome, ScratchStore } from '#lib/scratch'
import type { ChunkOpener } from '#lib/sealed'
import { createOpensslOpener } from '#platform/chunk-cipher'
import { openScratch, SCRATCH_NAME, type ScratchShare } from './scratch-file.ts'
import { readSealed, type SealedFile } from './sealed-file.ts'

/** A chunk that did not authenticate: which file of the directory, which chunk of it. */
export interface TamperedChunk {
  readonly file: number
  readonly chunk: number
}

/** What became of a request for data: bytes, nothing to say, or an errno, and what was not genuine. */
export type Served =
  | { readonly ok: true; readonly data: Uint8Array }
  | { readonly ok: false; readonly errno: number; readonly tampered?: TamperedChunk }

/** Where a serving thread learns what else it serves: it is blocked, so it looks by itself. */
export interface LayerNews {
  /** Holds lists of `SealedFile`. */
  readonly port: MessagePort
  /** Grows after a list was posted. Shared with the thread that posts. */
  readonly count: Int32Array
}

const EMPTY = new Uint8Array(0)

/**
 * The files that one thread serves: the scratch first, if there is one, then the sealed layers, which
 * may come later. Numbers of files never change, since the kernel keeps them.
 */
export class ServedFiles {
  readonly #news: LayerNews
  readonly #share: ScratchShare | undefined
  readonly #scratch: ScratchStore | undefined
  readonly #openers = new Map<SealedFile, ChunkOpener>()
  #layers: readonly SealedFile[] = []
  #seen = 0
  #directory: FlatDirectory

  /** `worker` is the number of this thread, from 1. */
  constructor(share: ScratchShare | undefined, worker: number, news: LayerNews) {
    this.#share = share
    this.#scratch = share === undefined ? undefined : openScratch(share, worker)
    this.#news = news
    this.#directory = this.#list()
  }

  /** Decides on a request. What was announced before it was made is known by then. */
  answer(request: FuseRequest): FuseAnswer {
    if (Atomics.load(this.#news.count, 0) !== this.#seen) this.#hear()
    return this.#directory.answer(request)
  }

  /** Answers an ordinary READ; undefined where `answer` has to say what is wrong with it. */
  readPlain(request: ReadRequest, buffer: Uint8Array): Served | undefined {
    if (Atomics.load(this.#news.count, 0) !== this.#seen) this.#hear()
    const file = this.#directory.fileOf(request.node)
    if (file < 0) return undefined
    const left = this.#directory.sizeOf(file) - request.offset
    if (left <= 0) return undefined
    return this.read(file, buffer, request.offset, Math.min(request.size, left))
  }

  /** Reads `size` bytes of a file into `buffer`, which has room for the chunks around them. */
  read(file: number, buffer: Uint8Array, offset: number, size: number): Served {
    if (this.#scratch !== undefined && file === 0) {
      const outcome = this.#scratch.read(buffer, offset, size)
      return outcome.ok ? outcome : refused(outcome)
    }
    const layer = this.#layers[this.#scratch === undefined ? file : file - 1]
    if (layer === undefined) throw new TypeError('the directory answered with no file of it')
    const outcome = readSealed(layer, this.#openerOf(layer), buffer, offset, size)
    if (outcome.ok) return outcome
    return { ok: false, errno: ERRNO.EIO, tampered: { file, chunk: outcome.chunk } }
  }

  /** Writes to the scratch, the only file that can be written. `data` holds ciphertext afterwards. */
  write(data: Uint8Array, offset: number): Served {
    return served(this.#writable().write(data, offset))
  }

  /** Makes a range of the scratch zeros. */
  zero(offset: number, size: number): Served {
    return served(this.#writable().discard(offset, size))
  }

  /** Forgets all keys. */
  close(): void {
    this.#scratch?.close()
    for (const opener of this.#openers.values()) opener.close()
    for (const layer of this.#layers) layer.key.fill(0)
  }

  #writable(): ScratchStore {
    if (this.#scratch === undefined) throw new TypeError('there is no writable file')
    return this.#scratch
  }

  #hear(): void {
    this.#seen = Atomics.load(this.#news.count, 0)
    for (;;) {
      const news = receiveMessageOnPort(this.#news.port)
      if (news === undefined) break
      this.#layers = [...this.#layers, ...(news.message as readonly SealedFile[])]
    }
    this.#directory = this.#list()
  }

  #list(): FlatDirectory {
    const share = this.#share
    const scratch =
      share === undefined ? [] : [{ name: SCRATCH_NAME, size: share.size, writable: true }]
    const layers = this.#layers.map(({ name, header }) => ({ name, size: header.imageLength }))
    return new FlatDirectory([...scratch, ...layers])
  }

  #openerOf(layer: SealedFile): ChunkOpener {
    const known = this.#openers.get(layer)
    if (known !== undefined) return known
    const opener = createOpensslOpener(layer.key, layer.header.fileId)
    this.#openers.set(layer, opener)
    return opener
  }
}

function served(outcome: ScratchOutcome): Served {
  return outcome.ok ? { ok: true, data: EMPTY } : refused(outcome)
}

// Only what the host gave back wrongly is an attack; a full disk is a full disk.
function refused(outcome: Extract<ScratchOutcome, { readonly ok: false }>): Served {
  const errno = outcome.why === 'full' ? ERRNO.ENOSPC : ERRNO.EIO
  if (outcome.why !== 'tampered') return { ok: false, errno }
  return { ok: false, errno, tampered: { file: 0, chunk: outcome.chunk } }
}
