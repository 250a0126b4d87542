import { concat, Writer } from '#lib/bytes'
import { TeeDeviceError } from './tee-device-error.ts'

/** One message: an operation and its request, or a status and its answer. */
export interface Frame {
  readonly tag: number
  readonly body: Uint8Array
}

/** Bytes of the length field, which counts the tag and the body but not itself. */
const LENGTH_SIZE = 4

/** Bytes of one frame: `u32be length ‖ u8 tag ‖ body`. */
export function encodeFrame(tag: number, body: Uint8Array): Uint8Array {
  return new Writer()
    .u32be(1 + body.length)
    .u8(tag)
    .bytes(body)
    .finish()
}

/**
 * Cuts a byte stream into frames. A length of zero or above `maxBody + 1` throws `TeeDeviceError`
 * TEE_DEVICE_PROTOCOL before anything is kept for it; the stream cannot be used afterwards.
 */
export class FrameDecoder {
  readonly #maxBody: number
  #pending: Uint8Array = new Uint8Array(0)

  constructor(maxBody: number) {
    this.#maxBody = maxBody
  }

  /** True between frames; false while part of a frame has been read. */
  get idle(): boolean {
    return this.#pending.length === 0
  }

  /** Takes the stream's next bytes and gives the frames that end in them. */
  push(chunk: Uint8Array): Frame[] {
    this.#pending = this.#pending.length === 0 ? chunk : concat(this.#pending, chunk)
    const frames: Frame[] = []
    for (let frame = this.#next(); frame !== undefined; frame = this.#next()) frames.push(frame)
    return frames
  }

  #next(): Frame | undefined {
    const bytes = this.#pending
    if (bytes.length < LENGTH_SIZE) return undefined
    const length = new DataView(bytes.buffer, bytes.byteOffset, LENGTH_SIZE).getUint32(0)
    if (length < 1 || length > 1 + this.#maxBody) {
      throw new TeeDeviceError(
        'TEE_DEVICE_PROTOCOL',
        `reading a TEE device frame: its length is ${length}, allowed is 1 to ${1 + this.#maxBody}`,
      )
    }
    if (bytes.length < LENGTH_SIZE + length) return undefined
    this.#pending = bytes.subarray(LENGTH_SIZE + length)
    // A copy: sockets give Buffers, whose slice would be a view of what comes next.
    const body = new Uint8Array(bytes.subarray(LENGTH_SIZE + 1, LENGTH_SIZE + length))
    return { tag: bytes[LENGTH_SIZE] as number, body }
  }
}
