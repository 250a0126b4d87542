/** Bytes gathered before the sink is called. */
const BUFFER = 128 * 1024

/**
 * Where an image goes. `append` takes it from start to end; `rewrite` changes bytes of block 0
 * at the very end. Bytes are valid until the call (or its promise) returns: copy what you keep.
 */
export interface ImageSink {
  append(bytes: Uint8Array): void | Promise<void>
  rewrite(offset: number, bytes: Uint8Array): void | Promise<void>
}

/** Gathers small pieces for the sink and knows the position in the image. */
export class ImageOutput {
  readonly #sink: ImageSink
  readonly #buffer: Uint8Array = new Uint8Array(BUFFER)
  readonly #view: DataView = new DataView(this.#buffer.buffer)
  #used = 0
  #flushed = 0

  constructor(sink: ImageSink) {
    this.#sink = sink
  }

  /** Bytes of the image so far. */
  get position(): number {
    return this.#flushed + this.#used
  }

  /** Appends bytes of any length. */
  append(bytes: Uint8Array): void | Promise<void> {
    if (bytes.length <= BUFFER - this.#used) {
      this.#buffer.set(bytes, this.#used)
      this.#used += bytes.length
      return undefined
    }
    return this.#appendLarge(bytes)
  }

  /** Appends zeros up to the next multiple of `unit`. */
  align(unit: number): void | Promise<void> {
    const missing = (unit - (this.position % unit)) % unit
    return missing === 0 ? undefined : this.append(new Uint8Array(missing))
  }

  /**
   * `length` zero bytes at the end, to be filled through the view at the offset given to
   * `fill` before it returns. At most 64 KiB.
   */
  record(
    length: number,
    fill: (view: DataView, at: number, bytes: Uint8Array) => void,
  ): void | Promise<void> {
    if (length > BUFFER - this.#used) {
      const flushed = this.flush()
      if (flushed instanceof Promise) return flushed.then(() => this.record(length, fill))
    }
    const at = this.#used
    this.#used += length
    this.#buffer.fill(0, at, this.#used)
    fill(this.#view, at, this.#buffer)
    return undefined
  }

  /** Gives the sink what is gathered. */
  flush(): void | Promise<void> {
    if (this.#used === 0) return undefined
    const bytes = this.#buffer.subarray(0, this.#used)
    this.#flushed += this.#used
    this.#used = 0
    return this.#sink.append(bytes)
  }

  /** Changes bytes of block 0; call `flush` before. */
  rewrite(offset: number, bytes: Uint8Array): void | Promise<void> {
    return this.#sink.rewrite(offset, bytes)
  }

  async #appendLarge(bytes: Uint8Array): Promise<void> {
    await this.flush()
    this.#flushed += bytes.length
    await this.#sink.append(bytes)
  }
}
