import { MAX_READ, OPCODE, REPLY_HEADER, REQUEST_HEADER } from './frames.ts'

/** Bytes of a READ: the header, then handle 8, offset 8, size 4 and 20 that mean nothing to us. */
const READ_LENGTH: number = REQUEST_HEADER + 40
/** Above this high half a 64-bit number is no safe integer any more. */
const SAFE_HIGH = 2 ** 21

/**
 * The one request that comes by the thousand, read in place: no objects, no bigints. Between a program's
 * page fault and its page lie a few tens of microseconds; a tenth of them would be parsing. Whatever is
 * not an ordinary READ is left to `parseRequest`, whose judgement this shares (test/fuzz/fuse.ts).
 */
export class ReadRequest {
  node = 0
  offset = 0
  size = 0
  readonly #request: DataView

  /** `buffer` is where requests are received. */
  constructor(buffer: Uint8Array) {
    this.#request = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  }

  /** True if the `length` bytes in the buffer are a READ; its numbers are set then. */
  parse(length: number): boolean {
    const request = this.#request
    if (length !== READ_LENGTH || request.getUint32(0, true) !== READ_LENGTH) return false
    if (request.getUint32(4, true) !== OPCODE.read) return false
    const nodeHigh = request.getUint32(20, true)
    const offsetHigh = request.getUint32(52, true)
    const size = request.getUint32(56, true)
    if (nodeHigh !== 0 || offsetHigh >= SAFE_HIGH || size > MAX_READ) return false
    this.node = request.getUint32(16, true)
    this.offset = offsetHigh * 2 ** 32 + request.getUint32(48, true)
    this.size = size
    return true
  }

  /** What the kernel knows the request by. */
  get unique(): bigint {
    return this.#request.getBigUint64(8, true)
  }

  /** Writes the header of the answer, the 16 bytes before `bodyLength` bytes of data, at `at`. */
  writeReplyHeader(into: DataView, at: number, bodyLength: number): void {
    into.setUint32(at, REPLY_HEADER + bodyLength, true)
    into.setInt32(at + 4, 0, true)
    into.setUint32(at + 8, this.#request.getUint32(8, true), true)
    into.setUint32(at + 12, this.#request.getUint32(12, true), true)
  }
}
