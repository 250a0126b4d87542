import { TarError } from './tar-error.ts'

/** Pieces of an archive, of any length; a piece may be reused once the next is asked for. */
export type Pieces = AsyncIterable<Uint8Array> | Iterable<Uint8Array>

/** Takes exact lengths from pieces of any length. */
export class ByteSource {
  readonly #pieces: AsyncIterator<Uint8Array> | Iterator<Uint8Array>
  #piece: Uint8Array = new Uint8Array(0)
  #at = 0
  #offset = 0

  constructor(pieces: Pieces) {
    this.#pieces =
      Symbol.asyncIterator in pieces ? pieces[Symbol.asyncIterator]() : pieces[Symbol.iterator]()
  }

  /** Bytes taken so far. */
  get offset(): number {
    return this.#offset
  }

  /** Exactly `length` bytes, valid until the next call. Throws `TAR_TRUNCATED` at the end. */
  take(length: number): Uint8Array | Promise<Uint8Array> {
    if (this.#piece.length - this.#at < length) return this.#gather(length)
    return this.#cut(length)
  }

  /** At least one and at most `length` bytes, as they come; undefined at the end. */
  async some(length: number): Promise<Uint8Array | undefined> {
    if (!this.#ready() && !(await this.#next())) return undefined
    return this.#cut(Math.min(length, this.#piece.length - this.#at))
  }

  /** What `some` would give, without waiting; undefined if the next piece must be fetched. */
  ready(length: number): Uint8Array | undefined {
    return this.#ready() ? this.#cut(Math.min(length, this.#piece.length - this.#at)) : undefined
  }

  /** Passes over `length` bytes. */
  async skip(length: number): Promise<void> {
    for (let left = length; left > 0; ) {
      const piece = this.ready(left) ?? (await this.some(left))
      if (piece === undefined) throw this.truncated()
      left -= piece.length
    }
  }

  /** Lets the pieces' source go, without waiting for its end. */
  async close(): Promise<void> {
    await this.#pieces.return?.()
  }

  truncated(): TarError {
    return new TarError('TAR_TRUNCATED', this.#offset, 'the stream ends before the archive does')
  }

  async #gather(length: number): Promise<Uint8Array> {
    const out = new Uint8Array(length)
    for (let got = 0; got < length; ) {
      const piece = this.ready(length - got) ?? (await this.some(length - got))
      if (piece === undefined) throw this.truncated()
      out.set(piece, got)
      got += piece.length
    }
    return out
  }

  #ready(): boolean {
    return this.#at < this.#piece.length
  }

  async #next(): Promise<boolean> {
    for (;;) {
      const { done, value } = await this.#pieces.next()
      if (done) return false
      if (value.length === 0) continue
      this.#piece = value
      this.#at = 0
      return true
    }
  }

  #cut(length: number): Uint8Array {
    const start = this.#at
    this.#at += length
    this.#offset += length
    return this.#piece.subarray(start, this.#at)
  }
}
