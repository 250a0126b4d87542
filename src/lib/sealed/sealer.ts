import { copyOf } from '#lib/bytes'
import {
  type ChunkSealer,
  type ChunkSealerFactory,
  createChunkSealer,
  type RandomSource,
  systemRandom,
} from './chunk-cipher.ts'
import { chunkCountOf, encodeHeader, MAX_IMAGE_LENGTH, type SealedHeader } from './header.ts'
import { IndexSet } from './index-set.ts'
import { CHUNK_SIZE, chunkOffset, headerBlock, sealedLayout, TAG_LENGTH } from './layout.ts'
import { sealedRoot } from './root.ts'
import { SealedError } from './sealed-error.ts'

/** Chunks of ciphertext gathered for one write: 256 KiB. */
const BATCH = 64

/** Where the file goes. `bytes` is reused after the call (or its promise) returns. */
export interface SealedSink {
  write(offset: number, bytes: Uint8Array): void | Promise<void>
}

/** What a reader needs beside the file; `key` is the caller's to wipe. */
export interface SealedSecrets {
  readonly key: Uint8Array
  readonly root: Uint8Array
  readonly header: SealedHeader
  /** `H` as it stands in the file. */
  readonly encodedHeader: Uint8Array
  readonly fileLength: number
}

/** Options of `createSealer`. */
export interface SealerOptions {
  readonly sink: SealedSink
  /** 32 bytes for a cache entry; zeros by default. */
  readonly layerId?: Uint8Array
  readonly random?: RandomSource
  /** Default `createChunkSealer`. */
  readonly chunkSealer?: ChunkSealerFactory
}

/**
 * Seals one image. `append` takes it from the start to the end; the first chunk is held
 * back, so that `rewrite` can still change it (the EROFS superblock is known last).
 * One attempt, one key: after an error or `abort` make a new sealer.
 */
export interface Sealer {
  /** Next bytes of the image; copied before the call returns. */
  append(bytes: Uint8Array): void | Promise<void>
  /** Changes bytes of the first chunk that were appended already. */
  rewrite(offset: number, bytes: Uint8Array): void
  /** Seals the last chunk, then the first, writes tag table and header. */
  finish(): Promise<SealedSecrets>
  /** Wipes key and plaintext. The caller removes what the sink has got. */
  abort(): void
}

/** A sealer with a fresh key and file id. */
export function createSealer(options: SealerOptions): Sealer {
  return new LayerSealer(options)
}

class LayerSealer implements Sealer {
  readonly #sink: SealedSink
  readonly #layerId: Uint8Array
  readonly #fileId: Uint8Array
  readonly #key: Uint8Array
  #chunks: ChunkSealer | undefined
  readonly #first: Uint8Array = new Uint8Array(CHUNK_SIZE)
  readonly #current: Uint8Array = new Uint8Array(CHUNK_SIZE)
  readonly #batch: Uint8Array = new Uint8Array(BATCH * CHUNK_SIZE)
  #batched = 0
  /** Index of the chunk that stands first in the batch. */
  #batchStart = 1
  #tags: Uint8Array = new Uint8Array(1024 * TAG_LENGTH)
  /** Chunks that were sealed under this key. */
  readonly #sealed = new IndexSet()
  #length = 0

  constructor(options: SealerOptions) {
    const random = options.random ?? systemRandom
    this.#sink = options.sink
    this.#layerId = Uint8Array.from(options.layerId ?? new Uint8Array(32))
    this.#key = Uint8Array.from(random(32))
    this.#fileId = Uint8Array.from(random(16))
    if (this.#key.length !== 32 || this.#fileId.length !== 16 || this.#layerId.length !== 32) {
      throw new RangeError('a sealer needs 32 + 16 random bytes and a layer id of 32')
    }
    this.#chunks = (options.chunkSealer ?? createChunkSealer)(this.#key, this.#fileId)
  }

  append(bytes: Uint8Array): void | Promise<void> {
    const chunks = this.#open()
    if (this.#length + bytes.length > MAX_IMAGE_LENGTH) {
      throw new SealedError('SEALED_FORMAT', `sealing a layer: above ${MAX_IMAGE_LENGTH} bytes`)
    }
    let at = 0
    while (at < bytes.length) {
      const index = Math.floor(this.#length / CHUNK_SIZE)
      const used = this.#length % CHUNK_SIZE
      const take = Math.min(CHUNK_SIZE - used, bytes.length - at)
      const piece = bytes.subarray(at, at + take)
      at += take
      this.#length += take
      if (index === 0) {
        this.#first.set(piece, used)
      } else if (take === CHUNK_SIZE) {
        this.#seal(chunks, index, piece)
      } else {
        this.#current.set(piece, used)
        if (used + take === CHUNK_SIZE) this.#seal(chunks, index, this.#current)
      }
      if (this.#batched === this.#batch.length) {
        const written = this.#flush()
        if (written instanceof Promise) {
          return at < bytes.length ? this.#resume(written, bytes.slice(at)) : written
        }
      }
    }
    return undefined
  }

  rewrite(offset: number, bytes: Uint8Array): void {
    this.#open()
    if (offset < 0 || offset + bytes.length > Math.min(CHUNK_SIZE, this.#length)) {
      throw new RangeError('only bytes of the first chunk can be rewritten')
    }
    this.#first.set(bytes, offset)
  }

  async finish(): Promise<SealedSecrets> {
    const chunks = this.#open()
    const chunkCount = chunkCountOf(this.#length)
    const used = this.#length % CHUNK_SIZE
    try {
      if (chunkCount > 1 && used > 0) {
        this.#seal(chunks, chunkCount - 1, this.#current.subarray(0, used))
      }
      await this.#flush()
      this.#batchStart = 0
      this.#seal(chunks, 0, this.#first.subarray(0, Math.min(CHUNK_SIZE, this.#length)))
      await this.#flush()
      const header: SealedHeader = {
        imageLength: this.#length,
        chunkCount,
        fileId: this.#fileId,
        layerId: this.#layerId,
      }
      const encodedHeader = encodeHeader(header)
      const layout = sealedLayout(header)
      const tags = this.#tags.subarray(0, layout.tagsLength)
      const root = sealedRoot(encodedHeader, tags)
      await this.#sink.write(layout.tagsOffset, tags)
      await this.#sink.write(0, headerBlock(encodedHeader))
      const key = copyOf(this.#key)
      return { key, root, header, encodedHeader, fileLength: layout.fileLength }
    } finally {
      this.abort()
    }
  }

  abort(): void {
    this.#chunks?.close()
    this.#chunks = undefined
    this.#key.fill(0)
    this.#first.fill(0)
    this.#current.fill(0)
  }

  async #resume(written: Promise<void>, rest: Uint8Array): Promise<void> {
    await written
    await this.append(rest)
  }

  #open(): ChunkSealer {
    if (this.#chunks === undefined) {
      throw new SealedError('SEALED_STATE', 'sealing a layer: this sealer has ended')
    }
    return this.#chunks
  }

  #seal(chunks: ChunkSealer, index: number, plain: Uint8Array): void {
    // The same nonce twice under one key would give away the XOR of both chunks.
    if (!this.#sealed.claim(index)) {
      this.abort()
      throw new SealedError('SEALED_STATE', `sealing a layer: chunk ${index} was sealed already`)
    }
    if ((index + 1) * TAG_LENGTH > this.#tags.length) this.#grow()
    const out = this.#batch.subarray(this.#batched, this.#batched + plain.length)
    const tag = this.#tags.subarray(index * TAG_LENGTH, (index + 1) * TAG_LENGTH)
    chunks.seal(index, plain, out, tag)
    this.#batched += plain.length
  }

  #flush(): void | Promise<void> {
    if (this.#batched === 0) return undefined
    const offset = chunkOffset(this.#batchStart)
    const bytes = this.#batch.subarray(0, this.#batched)
    this.#batchStart += Math.ceil(this.#batched / CHUNK_SIZE)
    this.#batched = 0
    // A write that failed leaves a gap that nothing may fill under this key.
    try {
      const written = this.#sink.write(offset, bytes)
      if (!(written instanceof Promise)) return undefined
      return written.catch((error: unknown) => {
        this.abort()
        throw error
      })
    } catch (error) {
      this.abort()
      throw error
    }
  }

  #grow(): void {
    const tags = new Uint8Array(this.#tags.length * 2)
    tags.set(this.#tags)
    this.#tags = tags
  }
}
