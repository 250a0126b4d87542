import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs'
import { CHUNK_SIZE } from '#lib/sealed'

/** Where the parts of a victim lie, in bytes and chunks. */
export interface VictimLayout {
  /** Offset of chunk 0: 4096 in a sealed file, 0 in the plain twin. */
  readonly dataStart: number
  readonly chunks: number
  /** The first chunk that holds inodes and directories. */
  readonly firstMetadata: number
  /** The image, to find bytes that are no padding. */
  readonly image: Uint8Array
}

/** A file on the host's disk that the host edits in place, and can put back as it was. */
export class Victim implements Disposable {
  readonly path: string
  readonly layout: VictimLayout
  readonly #pristine: Buffer
  readonly #fd: number
  // Where something was written since the last restore.
  #touched: { readonly from: number; readonly to: number }[] = []
  #resized = false

  constructor(path: string, layout: VictimLayout) {
    this.path = path
    this.layout = layout
    this.#pristine = readFileSync(path)
    this.#fd = openSync(path, 'r+')
  }

  /** Bytes of the file as it was. */
  get length(): number {
    return this.#pristine.length
  }

  /** Offset of the tag table of a sealed file. */
  get tagsOffset(): number {
    return this.length - 16 * this.layout.chunks
  }

  /** Offset of a chunk. */
  at(chunk: number): number {
    return this.layout.dataStart + chunk * CHUNK_SIZE
  }

  /** Offset within a chunk, from its middle on, of a byte that is not in a run of zeros. */
  filled(chunk: number): number {
    const { image } = this.layout
    for (let at = CHUNK_SIZE / 2; at < CHUNK_SIZE - 8; at++) {
      if (
        image.subarray(chunk * CHUNK_SIZE + at, chunk * CHUNK_SIZE + at + 8).every((b) => b !== 0)
      )
        return at
    }
    return CHUNK_SIZE / 2
  }

  /** Bytes of the file as it was. */
  genuine(offset: number, length: number): Uint8Array {
    return this.#pristine.subarray(offset, offset + length)
  }

  /** A chunk as it was. */
  chunk(index: number): Uint8Array {
    const end = this.layout.dataStart === 0 ? this.length : this.tagsOffset
    return this.#pristine.subarray(this.at(index), Math.min(this.at(index + 1), end))
  }

  /** Writes bytes somewhere. */
  write(offset: number, bytes: Uint8Array): void {
    this.#touched.push({ from: offset, to: offset + bytes.length })
    writeSync(this.#fd, bytes, 0, bytes.length, offset)
  }

  /** Flips a bit of a byte. */
  flip(offset: number, bit = 2): void {
    this.write(offset, Uint8Array.of((this.#pristine[offset] ?? 0) ^ (1 << bit)))
  }

  /** Puts bytes in the place of a chunk, cut to its length. */
  put(index: number, bytes: Uint8Array): void {
    this.write(this.at(index), bytes.subarray(0, this.chunk(index).length))
  }

  /** Cuts the file, or makes it longer with zeros. */
  resize(length: number): void {
    this.#resized = true
    ftruncateSync(this.#fd, length)
  }

  /** Puts every byte back, in the same file. */
  restore(): void {
    const parts = this.#resized ? [{ from: 0, to: this.length }] : this.#touched
    for (const { from, to } of parts) {
      const bytes = this.#pristine.subarray(from, to)
      writeSync(this.#fd, bytes, 0, bytes.length, from)
    }
    ftruncateSync(this.#fd, this.length)
    this.#touched = []
    this.#resized = false
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}
