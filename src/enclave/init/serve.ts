import {
  MAX_READ,
  parseRequest,
  REPLY_HEADER,
  REQUEST_BUFFER,
  replyHeader,
  writeBody,
  writeReplyHeader,
} from '#lib/fuse'
import { bufferLength } from './sealed-file.ts'
import { receive, type ServeEnd, send } from './serve-channel.ts'
import type { Served, ServedFiles, TamperedChunk } from './served-files.ts'

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
  const data = new Uint8Array(bufferLength(MAX_READ))
  const replyStart = new Uint8Array(REPLY_HEADER)

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

  try {
    for (;;) {
      const length = receive(device, requestBuffer)
      if (typeof length === 'string') return length
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
    data.fill(0)
    requestBuffer.fill(0)
  }
}
