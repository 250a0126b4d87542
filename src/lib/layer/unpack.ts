import { createDecipheriv, createHash } from 'node:crypto'
import { createErofsWriter, type ErofsSummary } from '#lib/erofs'
import { checkDigest, digestAlgorithm, type LayerCompression } from '#lib/oci'
import { OcicryptError } from '#lib/ocicrypt'
import {
  type ChunkSealerFactory,
  createSealer,
  type SealedSecrets,
  type SealedSink,
} from '#lib/sealed'
import { readTar } from '#lib/tar'
import { applyEntry, type Omissions } from './apply-entry.ts'
import { type ArchiveLimits, decompressBounded } from './bounded.ts'
import { LayerError } from './layer-error.ts'
import type { SpooledLayer } from './spool.ts'

/** What one layer may come to. */
export interface LayerLimits extends ArchiveLimits {
  /** Default 1,000,000. */
  readonly maxEntries?: number
}

/** Options of `unpackLayer`. */
export interface UnpackOptions {
  /** From `spoolLayer`, which got the cipher if the layer is encrypted. */
  readonly spooled: SpooledLayer
  /** From the layer's media type. */
  readonly compression: LayerCompression
  /** The layer's entry of `rootfs.diff_ids`. */
  readonly diffId: string
  /** Digest of the decrypted blob, where the private options name one. */
  readonly plainDigest?: string | undefined
  /** Where the sealed layer goes. */
  readonly sink: SealedSink
  /** 32 bytes, for a cache entry. */
  readonly layerId?: Uint8Array
  /** Default `createChunkSealer`. */
  readonly chunkSealer?: ChunkSealerFactory
  readonly limits?: LayerLimits
  readonly signal?: AbortSignal
  /** Called with the archive's bytes so far. */
  readonly onProgress?: (done: number) => void
}

/** A sealed layer and what opens it. */
export interface UnpackedLayer extends SealedSecrets {
  /** Entries of the archive. */
  readonly entries: number
  /** Bytes of the archive. */
  readonly archiveSize: number
  /** Device nodes and attributes that were left out. */
  readonly omitted: Readonly<Omissions>
  /** Every layer below must be left out of the stack: overlayfs ignores the mark on a root. */
  readonly opaqueRoot: boolean
}

/**
 * Pass 2: decrypts, decompresses, checks diff_id, unpacks and seals. Throws LayerError, TarError, ErofsError
 * and OcicryptError for content that is refused, and what the sink throws. After any error the key
 * is gone and the caller removes what the sink has got.
 */
export async function unpackLayer(options: UnpackOptions): Promise<UnpackedLayer> {
  checkDigest(options.diffId, 'diff_id')
  const { sink, layerId, chunkSealer } = options
  const sealer = createSealer({
    sink,
    ...(layerId === undefined ? {} : { layerId }),
    ...(chunkSealer === undefined ? {} : { chunkSealer }),
  })
  try {
    const archive = new Archive(options)
    const writer = createErofsWriter({ sink: sealer, uuid: imageUuid(options.diffId) })
    const omitted: Omissions = { devices: 0, xattrs: 0 }
    let entries = 0
    const { maxEntries = 1_000_000 } = options.limits ?? {}
    for await (const entry of readTar(archive.bytes(), { maxEntries })) {
      entries++
      await applyEntry(writer, entry, omitted)
    }
    archive.finish()
    const { opaqueRoot }: ErofsSummary = await writer.finish()
    const secrets = await sealer.finish()
    return { ...secrets, entries, archiveSize: archive.size, omitted, opaqueRoot }
  } finally {
    // After `finish` there is nothing left to wipe, after an error there is.
    sealer.abort()
  }
}

/** What tells the image of one layer from that of another: made from its contents, so that it is the same again. */
function imageUuid(diffId: string): Uint8Array {
  return createHash('sha256').update(`enclave-cc/erofs-uuid/1\0${diffId}`).digest().subarray(0, 16)
}

/** The decompressed archive, hashed and bounded as it passes. */
class Archive {
  readonly #options: UnpackOptions
  readonly #hash
  readonly #plainHash
  #size = 0

  constructor(options: UnpackOptions) {
    this.#options = options
    this.#hash = createHash(digestAlgorithm(options.diffId))
    const { plainDigest } = options
    this.#plainHash =
      plainDigest === undefined
        ? undefined
        : createHash(digestAlgorithm(checkDigest(plainDigest, 'digest of the decrypted layer')))
  }

  /** Bytes so far. */
  get size(): number {
    return this.#size
  }

  async *bytes(): AsyncGenerator<Uint8Array, void, undefined> {
    const { spooled, compression, limits, onProgress } = this.#options
    const plain = this.#decrypted()
    for await (const piece of decompressBounded(plain, compression, spooled.size, limits)) {
      this.#size += piece.length
      this.#hash.update(piece)
      onProgress?.(this.#size)
      yield piece
    }
  }

  /** To be called when everything was read. */
  finish(): void {
    const { diffId, plainDigest } = this.#options
    if (plainDigest !== undefined) {
      const found = `${digestAlgorithm(plainDigest)}:${this.#plainHash?.digest('hex')}`
      if (found !== plainDigest) {
        throw new OcicryptError(
          'LAYER_DIGEST_MISMATCH',
          'decrypting a layer: the decrypted bytes do not have the digest noted at encryption',
        )
      }
    }
    const actual = `${digestAlgorithm(diffId)}:${this.#hash.digest('hex')}`
    if (actual !== diffId) {
      throw new LayerError(
        'LAYER_DIFF_ID_MISMATCH',
        `unpacking a layer: its diff_id is ${actual}, the configuration says ${diffId}`,
        { details: { expected: diffId, actual } },
      )
    }
  }

  async *#decrypted(): AsyncGenerator<Uint8Array, void, undefined> {
    const { spooled, signal } = this.#options
    const { cipher } = spooled
    const decipher =
      cipher === undefined ? undefined : createDecipheriv('aes-256-ctr', cipher.key, cipher.nonce)
    for await (const block of spooled.blocks(signal)) {
      const plain = decipher === undefined ? block : decipher.update(block)
      this.#plainHash?.update(plain)
      yield plain
    }
  }
}
