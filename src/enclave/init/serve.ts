import {
  MAX_READ,
  parseRequest,
  REPLY_HEADER,
  REQUEST_BUFFER,
  ReadRequest,
  replyHeader,
  writeBody,
  writeReplyHeader,
} from '#lib/fuse'
import { bufferLength } from './sealed-file.ts'
import { receive, type ServeEnd, send, sendPart } from './serve-channel.ts'
import type { Served, ServedFiles, TamperedChunk } from './served-files.ts'

const PAGE = 4096

/**
 * Serves files on a FUSE descriptor until it is unmounted. It blocks its thread, which must therefore be
 * a worker, and must not touch the mount (docs/rootfs.md). A chunk that is not genuine is EIO for that
 * request and a call of `tampered`.
 */
export function serveFiles(
  device: number,
  files: ServedFiles,
  tampered: (chunk: TamperedChunk) => void,
): ServeEnd {
  // Allocated once and touched by every request: fresh pages would cost more than the cipher.
  const requestBuffer = new Uint8Array(REQUEST_BUFFER)
  const replies = new Uint8Array(PAGE + bufferLength(MAX_READ))
  // In front of it is room for the header of a reply, so that data and header are sent as they lie.
  const data = replies.subarray(PAGE)
  const header = new DataView(replies.buffer)
  const replyStart = new Uint8Array(REPLY_HEADER)
  const read = new ReadRequest(requestBuffer)

  function reply(unique: bigint, served: Served, body?: Uint8Array): void {
    if (served.ok) {
      const bytes = body ?? served.data
      writeReplyHeader(replyStart, unique, bytes.length)
      send(device, [replyStart, bytes])
      return
    }
    // Said first: whoever sees EIO must not be able to end before it is known why.
    if (served.tampered !== undefined) tampered(served.tampered)
    send(device, [replyHeader(unique, 0, served.errno)])
  }

  function replyToRead(): boolean {
    const served = files.readPlain(read, data)
    if (served === undefined) return false
    if (!served.ok) {
      reply(read.unique, served)
      return true
    }
    // What stands there is plaintext that was read with the data, or nothing.
    const start = served.data.byteOffset - REPLY_HEADER
    read.writeReplyHeader(header, start, served.data.length)
    sendPart(device, replies, start, REPLY_HEADER + served.data.length)
    return true
  }

  try {
    for (;;) {
      const length = receive(device, requestBuffer)
      if (typeof length === 'string') return length
      if (read.parse(length) && replyToRead()) continue
      const request = parseRequest(requestBuffer.subarray(0, length))
      const answer = files.answer(request)
      const { unique } = request
      switch (answer.kind) {
        case 'none':
          break
        case 'error':
          send(device, [replyHeader(unique, 0, answer.errno)])
          break
        case 'body':
          send(device, [replyHeader(unique, answer.body.length), answer.body])
          break
        case 'read':
          reply(unique, files.read(answer.file, data, answer.offset, answer.size))
          break
        case 'write': {
          // All or an error: the loop driver takes a short write for a whole one.
          const body = writeBody(answer.data.length)
          reply(unique, files.write(answer.data, answer.offset), body)
          break
        }
        case 'zero':
          reply(unique, files.zero(answer.offset, answer.size))
      }
    }
  } finally {
    replies.fill(0)
    requestBuffer.fill(0)
  }
}
