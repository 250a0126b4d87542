import { readSync, writeSync, writevSync } from 'node:fs'
import {
  ERRNO,
  FlatDirectory,
  MAX_READ,
  parseRequest,
  REPLY_HEADER,
  REQUEST_BUFFER,
  replyHeader,
  writeReplyHeader,
} from '#lib/fuse'
import type { ChunkOpener } from '#lib/sealed'
import { createOpensslOpener } from '#platform/chunk-cipher'
import type { SealedFile } from './sealed-file.ts'
import { bufferLength, readSealed } from './sealed-file.ts'

/** A chunk that did not authenticate: which file of the list, which chunk of it. */
export interface TamperedChunk {
  readonly file: number
  readonly chunk: number
}

/** Why serving ended: the mount is gone, or the connection was aborted. */
export type ServeEnd = 'unmounted' | 'aborted'

/**
 * Serves the sealed files on a FUSE descriptor until it is unmounted. It blocks its thread, which
 * must therefore be a worker, and must not touch the mount (docs/rootfs.md). A chunk that is not
 * genuine is EIO for that read and a call of `tampered`.
 */
export function serveSealed(
  device: number,
  files: readonly SealedFile[],
  tampered: (chunk: TamperedChunk) => void,
): ServeEnd {
  const directory = new FlatDirectory(
    files.map(({ name, header }) => ({ name, size: header.imageLength })),
  )
  const openers = new Map<number, ChunkOpener>()
  // Allocated once and touched by every request: fresh pages would cost more than the cipher.
  const requestBuffer = new Uint8Array(REQUEST_BUFFER)
  const data = new Uint8Array(bufferLength(MAX_READ))
  const replyStart = new Uint8Array(REPLY_HEADER)
  try {
    for (;;) {
      const length = receive(device, requestBuffer)
      if (typeof length === 'string') return length
      const request = parseRequest(requestBuffer.subarray(0, length))
      const answer = directory.answer(request)
      switch (answer.kind) {
        case 'none':
          break
        case 'error':
          send(device, [replyHeader(request.unique, 0, answer.errno)])
          break
        case 'body':
          send(device, [replyHeader(request.unique, answer.body.length), answer.body])
          break
        case 'read': {
          const file = files[answer.file]
          if (file === undefined) throw new TypeError('the directory answered with no file of it')
          const opener = openerOf(openers, answer.file, file)
          const outcome = readSealed(file, opener, data, answer.offset, answer.size)
          if (outcome.ok) {
            writeReplyHeader(replyStart, request.unique, outcome.data.length)
            send(device, [replyStart, outcome.data])
          } else {
            // Said first: whoever reads EIO must not be able to end before it is known why.
            tampered({ file: answer.file, chunk: outcome.chunk })
            send(device, [replyHeader(request.unique, 0, ERRNO.EIO)])
          }
        }
      }
    }
  } finally {
    data.fill(0)
    for (const opener of openers.values()) opener.close()
  }
}

function openerOf(openers: Map<number, ChunkOpener>, index: number, file: SealedFile): ChunkOpener {
  const known = openers.get(index)
  if (known !== undefined) return known
  const opener = createOpensslOpener(file.key, file.header.fileId)
  openers.set(index, opener)
  return opener
}

function receive(device: number, buffer: Uint8Array): number | ServeEnd {
  for (;;) {
    try {
      return readSync(device, buffer)
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      if (code === 'ENODEV') return 'unmounted'
      if (code === 'ECONNABORTED') return 'aborted'
      // A request that was interrupted before it was copied to us, or a signal: read the next one.
      if (code !== 'ENOENT' && code !== 'EINTR' && code !== 'EAGAIN') throw error
    }
  }
}

function send(device: number, parts: readonly Uint8Array[]): void {
  try {
    if (parts.length === 1 && parts[0] !== undefined) writeSync(device, parts[0])
    else writevSync(device, parts)
  } catch (error) {
    // ENOENT: the requester is gone, nobody waits for this answer. ENODEV: the next read says so too.
    const code = (error as NodeJS.ErrnoException).code
    if (code !== 'ENOENT' && code !== 'ENODEV' && code !== 'ECONNABORTED') throw error
  }
}
