import { readSync } from 'node:fs'
import type { ErofsSource } from '#lib/erofs'
import {
  CHUNK_SIZE,
  chunkLength,
  chunkOffset,
  openSealed,
  SealedError,
  type SealedImage,
} from '#lib/sealed'
import { LayerCommandError, NOT_GENUINE } from './layer-command-error.ts'
import type { LayerKey } from './layer-key.ts'
import { type SealedFile, wrongLength } from './sealed-file.ts'

/** Opened chunks that are kept: 1 MiB. Inodes and dirents are read in small pieces. */
const KEPT = 256

/** The image inside a sealed file: bytes are given out only after their chunk's tag was checked. */
export interface OpenImage extends ErofsSource, Disposable {}

/**
 * Opens the image with a key; where the key names no root, header and tag table are taken as they stand
 * (docs/formats/layer-key.md says what that leaves open). Throws `SEALED_MISMATCH`; reads throw `SEALED_CHUNK`.
 */
export function openImage(file: SealedFile, { key, root }: LayerKey): OpenImage {
  const { encodedHeader, tags, root: found, length } = file
  if (tags === undefined || found === undefined) {
    const message = `opening a sealed layer: ${wrongLength(file) ?? 'it was cut'}`
    throw new LayerCommandError('SEALED_MISMATCH', message, { next: NOT_GENUINE })
  }
  const options = { encodedHeader, key, tags, root: root ?? found, fileLength: length }
  return new ChunkedImage(
    file,
    forOwner(() => openSealed(options)),
  )
}

function forOwner<T>(open: () => T): T {
  try {
    return open()
  } catch (cause) {
    if (!(cause instanceof SealedError)) throw cause
    throw new LayerCommandError(cause.code, cause.message, { next: NOT_GENUINE, cause })
  }
}

class ChunkedImage implements OpenImage {
  readonly size: number
  readonly #file: SealedFile
  readonly #image: SealedImage
  /** By index; the least recently used stands first. */
  readonly #kept = new Map<number, Uint8Array>()

  constructor(file: SealedFile, image: SealedImage) {
    this.size = image.header.imageLength
    this.#file = file
    this.#image = image
  }

  read(offset: number, length: number): Uint8Array {
    if (offset < 0 || offset + length > this.size) {
      throw new RangeError('a read beyond the end of the image')
    }
    const out = new Uint8Array(length)
    for (let done = 0; done < length; ) {
      const at = offset + done
      const chunk = this.#chunk(Math.floor(at / CHUNK_SIZE))
      const piece = chunk.subarray(at % CHUNK_SIZE, (at % CHUNK_SIZE) + length - done)
      out.set(piece, done)
      done += piece.length
    }
    return out
  }

  [Symbol.dispose](): void {
    this.#image.close()
    this.#kept.clear()
  }

  #chunk(index: number): Uint8Array {
    const kept = this.#kept.get(index)
    if (kept !== undefined) {
      this.#kept.delete(index)
      this.#kept.set(index, kept)
      return kept
    }
    const chunk = new Uint8Array(chunkLength(this.#image.header, index))
    let got = 0
    while (got < chunk.length) {
      const position = chunkOffset(index) + got
      const read = readSync(this.#file.handle.fd, chunk, got, chunk.length - got, position)
      if (read === 0) break
      got += read
    }
    forOwner(() => this.#image.open(index, chunk.subarray(0, got)))
    const [oldest] = this.#kept.keys()
    if (this.#kept.size >= KEPT && oldest !== undefined) this.#kept.delete(oldest)
    this.#kept.set(index, chunk)
    return chunk
  }
}
