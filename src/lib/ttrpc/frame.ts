import { FormatError, Reader, Writer } from '#lib/bytes'

/** `u32be length ‖ u32be stream id ‖ u8 type ‖ u8 flags`: 4 + 4 + 1 + 1 bytes. */
export const HEADER_LENGTH = 10
/** Longest body of a frame, 4 MiB, as containerd's ttrpc. */
export const MAX_BODY: number = 4 * 1024 * 1024

/** Frame types. 3 is a streaming data frame of ttrpc 1.2, which unary calls never see. */
export const FRAME_REQUEST = 1
/** Type of an answer to a request. */
export const FRAME_RESPONSE = 2

/** One frame as received. `oversize` frames were discarded as they arrived and have an empty body. */
export interface Frame {
  readonly streamId: number
  readonly type: number
  readonly flags: number
  readonly body: Uint8Array
  readonly oversize: boolean
}

/** Header and body in one array, so that one write of a stream cannot be split by another. */
export function encodeFrame(
  type: number,
  streamId: number,
  body: Uint8Array,
): Uint8Array<ArrayBuffer> {
  if (body.length > MAX_BODY) {
    throw new FormatError('FORMAT_LIMIT', 'ttrpc frame', 0, `is ${body.length} bytes long`)
  }
  return new Writer().u32be(body.length).u32be(streamId).u8(type).u8(0).bytes(body).finish()
}

/**
 * Cuts a byte stream into frames. The body of a frame is allocated only after its length was
 * checked; a longer one is skipped without being kept, and reported as `oversize`.
 */
export class FrameDecoder {
  readonly #header = new Uint8Array(HEADER_LENGTH)
  #headerFill = 0
  #frame: Frame | undefined
  #bodyFill = 0
  #left = 0

  /** True between two frames: a stream that ends elsewhere was cut. */
  get idle(): boolean {
    return this.#frame === undefined && this.#headerFill === 0
  }

  /** The frames completed by `chunk`. */
  *push(chunk: Uint8Array): Generator<Frame, void, void> {
    let rest = chunk
    while (true) {
      if (this.#frame === undefined) {
        rest = this.#fillHeader(rest)
        if (this.#frame === undefined) return
      }
      const taken = Math.min(this.#left, rest.length)
      if (!this.#frame.oversize) this.#frame.body.set(rest.subarray(0, taken), this.#bodyFill)
      this.#bodyFill += taken
      this.#left -= taken
      rest = rest.subarray(taken)
      if (this.#left > 0) return
      const done = this.#frame
      this.#frame = undefined
      yield done
    }
  }

  #fillHeader(chunk: Uint8Array): Uint8Array {
    const taken = Math.min(HEADER_LENGTH - this.#headerFill, chunk.length)
    this.#header.set(chunk.subarray(0, taken), this.#headerFill)
    this.#headerFill += taken
    if (this.#headerFill === HEADER_LENGTH) {
      this.#headerFill = 0
      const r = new Reader(this.#header)
      this.#left = r.u32be('length')
      this.#bodyFill = 0
      const oversize = this.#left > MAX_BODY
      this.#frame = {
        streamId: r.u32be('stream id'),
        type: r.u8('type'),
        flags: r.u8('flags'),
        body: new Uint8Array(oversize ? 0 : this.#left),
        oversize,
      }
    }
    return chunk.subarray(taken)
  }
}
