import { equalSecret } from '#lib/bytes'
import { type ChunkOpener, type ChunkOpenerFactory, createChunkOpener } from './chunk-cipher.ts'
import { parseHeader, type SealedHeader } from './header.ts'
import { chunkLength, chunkOffset, chunkSpan, sealedLayout, TAG_LENGTH } from './layout.ts'
import { sealedRoot } from './root.ts'
import { SealedError } from './sealed-error.ts'

/** What `openSealed` needs. `key`, `root` and `encodedHeader` come from the one who sealed. */
export interface OpenOptions {
  /** The authenticated `H`, 72 bytes. */
  readonly encodedHeader: Uint8Array
  readonly root: Uint8Array
  readonly key: Uint8Array
  /** The file's whole tag table; kept, not copied: nobody else may write to it. */
  readonly tags: Uint8Array
  /** Bytes of the file as the node gives it. */
  readonly fileLength: number
  /** Default: the reference opener over `node:crypto`. */
  readonly opener?: ChunkOpenerFactory
}

/** A sealed layer whose header and tag table are proven. */
export interface SealedImage {
  readonly header: SealedHeader
  /** Its verified tag table, for workers that open the same file. */
  readonly tags: Uint8Array
  /**
   * Decrypts the ciphertext of chunk `index` where it lies, checking its exact length.
   * Throws `SEALED_CHUNK`; `chunk` then holds no plaintext.
   */
  open(index: number, chunk: Uint8Array): void
  /** Forgets the key. */
  close(): void
}

/**
 * Proves header, length and tag table against `root`. Throws SealedError: `SEALED_FORMAT`
 * for a header that is none, `SEALED_MISMATCH` for another length, table or root.
 */
export function openSealed(options: OpenOptions): SealedImage {
  const { encodedHeader, tags, fileLength } = options
  const header = parseHeader(encodedHeader)
  const layout = sealedLayout(header)
  if (options.key.length !== 32) throw new RangeError('a sealed layer key has 32 bytes')
  if (fileLength !== layout.fileLength) {
    const found = `the file has ${fileLength} bytes, its header says ${layout.fileLength}`
    throw new SealedError('SEALED_MISMATCH', `opening a sealed layer: ${found}`)
  }
  if (tags.length !== layout.tagsLength) {
    const found = `the tag table has ${tags.length} bytes, ${layout.tagsLength} are needed`
    throw new SealedError('SEALED_MISMATCH', `opening a sealed layer: ${found}`)
  }
  if (!equalSecret(sealedRoot(encodedHeader, tags), options.root)) {
    throw new SealedError('SEALED_MISMATCH', 'opening a sealed layer: the root does not match')
  }
  return proven(header, tags, (options.opener ?? createChunkOpener)(options.key, header.fileId))
}

function proven(header: SealedHeader, tags: Uint8Array, opener: ChunkOpener): SealedImage {
  return {
    header,
    tags,
    open(index, chunk) {
      if (chunk.length !== chunkLength(header, index)) {
        const found = `has ${chunk.length} bytes, ${chunkLength(header, index)} are needed`
        throw new SealedError(
          'SEALED_CHUNK',
          `opening chunk ${index} of a sealed layer: it ${found}`,
        )
      }
      const tag = tags.subarray(index * TAG_LENGTH, (index + 1) * TAG_LENGTH)
      if (!opener.openInPlace(index, chunk, tag)) {
        throw new SealedError(
          'SEALED_CHUNK',
          `opening chunk ${index} of a sealed layer: its tag does not match`,
        )
      }
    },
    close: () => opener.close(),
  }
}

/** A file with random access; `read` may return fewer bytes only at the end of the file. */
export interface SealedSource {
  read(offset: number, length: number): Uint8Array | Promise<Uint8Array>
}

/**
 * Reads `length` bytes of the image at `offset`, fewer at its end. Throws `SEALED_CHUNK` if
 * any chunk of the range is not authentic or the source is short.
 */
export async function readSealed(
  image: SealedImage,
  source: SealedSource,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  const span = chunkSpan(image.header, offset, length)
  if (span.count === 0) return new Uint8Array(0)
  const run = Uint8Array.from(await source.read(chunkOffset(span.first), span.bytes))
  let at = 0
  for (let index = span.first; index < span.first + span.count; index++) {
    const end = Math.min(run.length, at + chunkLength(image.header, index))
    image.open(index, run.subarray(at, end))
    at = end
  }
  return run.subarray(span.skip, span.skip + span.length)
}
