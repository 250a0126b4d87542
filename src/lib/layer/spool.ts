import { createHmac } from 'node:crypto'
import { equalSecret } from '#lib/bytes'
import { ContentCheck, type ContentName } from '#lib/oci'
import { type LayerCipher, OcicryptError } from '#lib/ocicrypt'
import { LayerError } from './layer-error.ts'
import { SPOOL_BLOCK, SpoolTags } from './spool-tags.ts'

/** Layers up to this many bytes stay in memory: 32 MiB. */
export const MEMORY_SPOOL: number = 32 * 2 ** 20

/** Blocks between two turns of the event loop: both passes would else starve everything beside. */
const BLOCKS_A_TURN = 16

/**
 * Storage of the node for one layer's ciphertext; hostile. `bytes` is reused after `write` (or its
 * promise) returns; `read` may return fewer bytes only at the end.
 */
export interface SpoolStorage {
  write(offset: number, bytes: Uint8Array): void | Promise<void>
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>
}

/** Options of `spoolLayer`. */
export interface SpoolOptions {
  /** The blob as the registry or the node gives it; hostile. */
  readonly source: AsyncIterable<Uint8Array>
  /** Size and digest from the layer's descriptor. */
  readonly descriptor: ContentName
  /** For an encrypted layer. */
  readonly cipher?: LayerCipher | undefined
  /** Needed above `memoryLimit`. */
  readonly storage?: SpoolStorage
  /** Default 32 MiB. */
  readonly memoryLimit?: number
  readonly signal?: AbortSignal
  /** Called with the bytes taken so far. */
  readonly onProgress?: (done: number) => void
}

/** An authenticated blob that can be read again. */
export interface SpooledLayer {
  readonly size: number
  /** The cipher whose HMAC the blob has passed; pass 2 decrypts with no other. */
  readonly cipher: LayerCipher | undefined
  /**
   * Its bytes in blocks of 64 KiB, each checked again. A block is valid until the next is asked
   * for. Throws `LAYER_SPOOL_TAMPERED`.
   */
  blocks(signal?: AbortSignal): AsyncIterable<Uint8Array>
}

/**
 * Pass 1: keeps the ciphertext and authenticates it. Throws OciError `IMAGE_SIZE_MISMATCH` or
 * `IMAGE_DIGEST_MISMATCH`, OcicryptError `LAYER_MAC_MISMATCH`, and what source and storage throw.
 */
export async function spoolLayer(options: SpoolOptions): Promise<SpooledLayer> {
  const { descriptor, cipher, signal } = options
  const spool = chooseSpool(options)
  const check = new ContentCheck(descriptor, 'layer')
  const mac = cipher === undefined ? undefined : createHmac('sha256', cipher.key)
  for await (const piece of options.source) {
    signal?.throwIfAborted()
    check.update(piece)
    mac?.update(piece)
    await spool.append(piece)
    options.onProgress?.(check.seen)
  }
  await spool.end()
  check.finish()
  if (mac !== undefined && !equalSecret(mac.digest(), (cipher as LayerCipher).hmac)) {
    const found = 'its bytes do not match the HMAC of its options'
    throw new OcicryptError('LAYER_MAC_MISMATCH', `authenticating a layer: ${found}`)
  }
  return { size: descriptor.size, cipher, blocks: (stop) => spool.blocks(stop) }
}

interface Spool {
  append(piece: Uint8Array): void | Promise<void>
  end(): void | Promise<void>
  blocks(signal?: AbortSignal): AsyncIterable<Uint8Array>
}

function chooseSpool(options: SpoolOptions): Spool {
  const { size } = options.descriptor
  if (size <= (options.memoryLimit ?? MEMORY_SPOOL)) return new MemorySpool(size)
  if (options.storage === undefined) throw new TypeError('a layer of this size needs storage')
  return new StorageSpool(options.storage, size)
}

class MemorySpool implements Spool {
  readonly #bytes: Uint8Array
  #length = 0

  constructor(size: number) {
    this.#bytes = new Uint8Array(size)
  }

  append(piece: Uint8Array): void {
    this.#bytes.set(piece, this.#length)
    this.#length += piece.length
  }

  end(): void {}

  async *blocks(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for (let at = 0; at < this.#length; at += SPOOL_BLOCK) {
      await turn(at / SPOOL_BLOCK, signal)
      yield this.#bytes.subarray(at, at + SPOOL_BLOCK)
    }
  }
}

class StorageSpool implements Spool {
  readonly #storage: SpoolStorage
  readonly #size: number
  readonly #tags = new SpoolTags()
  readonly #block: Uint8Array = new Uint8Array(SPOOL_BLOCK)
  #used = 0
  #written = 0

  constructor(storage: SpoolStorage, size: number) {
    this.#storage = storage
    this.#size = size
  }

  async append(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length; ) {
      const take = Math.min(SPOOL_BLOCK - this.#used, piece.length - at)
      this.#block.set(piece.subarray(at, at + take), this.#used)
      this.#used += take
      at += take
      if (this.#used === SPOOL_BLOCK) await this.end()
    }
  }

  async end(): Promise<void> {
    if (this.#used === 0) return
    const block = this.#block.subarray(0, this.#used)
    this.#tags.add(block)
    await this.#storage.write(this.#written, block)
    this.#written += this.#used
    this.#used = 0
  }

  async *blocks(signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined> {
    for (let index = 0; index * SPOOL_BLOCK < this.#size; index++) {
      await turn(index, signal)
      const offset = index * SPOOL_BLOCK
      const length = Math.min(SPOOL_BLOCK, this.#size - offset)
      // A private copy: the check must be over the bytes that are used.
      const block = Uint8Array.from(await this.#storage.read(offset, length))
      if (block.length !== length || !this.#tags.matches(index, block)) {
        const found = `block ${index} is not what was written`
        throw new LayerError('LAYER_SPOOL_TAMPERED', `reading a layer from the node: ${found}`)
      }
      yield block
    }
  }
}

async function turn(index: number, signal: AbortSignal | undefined): Promise<void> {
  signal?.throwIfAborted()
  if (index % BLOCKS_A_TURN === BLOCKS_A_TURN - 1) {
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
