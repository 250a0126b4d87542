import { read, readFileSync, writevSync } from 'node:fs'
import {
  ERRNO,
  FlatDirectory,
  MAX_READ,
  parseRequest,
  REQUEST_BUFFER,
  replyHeader,
} from '#lib/fuse'
import { CHUNK_SIZE } from '#lib/sealed'
import { mountFuse } from '#platform/fuse'
import { linuxMounts } from '#platform/mount'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'

// A disk that answers as it likes: the files of a spool behind a FUSE server that the attacker runs.
// Arguments: the mount point, and a JSON list of { name, path }. Orders come as messages.

/** How the disk answers reads. `honest` is an ordinary disk; the others are named for what they do. */
export type DiskMode =
  | 'honest'
  | 'delays'
  | 'answers in reverse order'
  | 'exchanges two answers'
  | 'answers with the bytes of the last read'
  | 'answers with the next chunk'
  | 'answers short'
  | 'ends every file early'
  | 'fails at random'
  | 'changes a byte every other time'
  | 'answers with the older file'
  | 'answers with noise'

interface Waiting {
  readonly unique: bigint
  readonly data: Uint8Array
}

const [mountPoint = '', list = '[]', seed = '1'] = process.argv.slice(2)
const files = (JSON.parse(list) as { name: string; path: string; older: string }[]).map((file) => ({
  name: file.name,
  bytes: readFileSync(file.path),
  older: readFileSync(file.older),
}))
const directory = new FlatDirectory(files.map(({ name, bytes }) => ({ name, size: bytes.length })))
const random = randomOf(Number(seed))
let mode: DiskMode = 'honest'
let held: Waiting[] = []
let last: Uint8Array = new Uint8Array(0)
let turns = 0

const device = mountFuse(linuxMounts, mountPoint, MAX_READ)

/** Answers a request that is gone: its asker was killed, or the mount went. Nothing to do then. */
function send(unique: bigint, data: Uint8Array, errno = 0): void {
  try {
    writevSync(device, [replyHeader(unique, data.length, errno), data])
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as { code?: string }).code ?? '')) throw error
  }
}

function release(): void {
  const ready = held
  held = []
  if (mode === 'exchanges two answers' && ready.length === 2) {
    const [a, b] = ready as [Waiting, Waiting]
    // a length of its own for each, so that only the bytes are wrong
    send(a.unique, fitted(b.data, a.data.length))
    send(b.unique, fitted(a.data, b.data.length))
    return
  }
  for (const { unique, data } of ready.reverse()) send(unique, data)
}

function fitted(bytes: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length)
  out.set(bytes.subarray(0, length))
  return out
}

function answer(unique: bigint, index: number, offset: number, size: number): void {
  const file = files[index]
  if (file === undefined) throw new RangeError(`file ${index}`)
  const genuine = Uint8Array.from(file.bytes.subarray(offset, offset + size))
  turns += 1
  switch (mode) {
    case 'honest':
      break
    case 'delays':
      setTimeout(() => send(unique, genuine), random(4))
      return
    case 'answers in reverse order':
    case 'exchanges two answers':
      held.push({ unique, data: genuine })
      if (held.length === 2) release()
      else setTimeout(release, 3)
      return
    case 'answers with the bytes of the last read': {
      const stale = last.length === 0 ? genuine : fitted(last, genuine.length)
      last = genuine
      send(unique, random(8) === 0 ? stale : genuine)
      return
    }
    case 'answers with the next chunk':
      if (random(8) === 0) {
        send(unique, fitted(file.bytes.subarray(offset + CHUNK_SIZE), genuine.length))
        return
      }
      break
    case 'answers short':
      send(unique, genuine.subarray(0, 1 + random(genuine.length)))
      return
    case 'ends every file early':
      send(unique, random(8) === 0 ? new Uint8Array(0) : genuine)
      return
    case 'fails at random':
      if (random(8) === 0) {
        send(unique, new Uint8Array(0), ERRNO.EIO)
        return
      }
      break
    case 'changes a byte every other time':
      if (turns % 2 === 0) {
        const at = random(genuine.length)
        genuine[at] = (genuine[at] ?? 0) ^ 0x20
      }
      break
    case 'answers with the older file':
      if (random(8) === 0) {
        send(unique, fitted(file.older.subarray(offset), genuine.length))
        return
      }
      break
    case 'answers with noise':
      if (random(8) === 0) for (let i = 0; i < genuine.length; i++) genuine[i] = random(256)
      break
  }
  send(unique, genuine)
}

function serve(buffer: Uint8Array): void {
  read(device, buffer, 0, buffer.length, null, (error, length) => {
    if (error !== null) {
      if (error.code === 'ENODEV' || error.code === 'ECONNABORTED') process.exit()
      if (!['ENOENT', 'EINTR', 'EAGAIN'].includes(error.code ?? '')) throw error
      serve(buffer)
      return
    }
    const request = parseRequest(buffer.subarray(0, length))
    const reply = directory.answer(request)
    if (reply.kind === 'read') answer(request.unique, reply.file, reply.offset, reply.size)
    else if (reply.kind === 'body') send(request.unique, reply.body)
    else if (reply.kind === 'error') send(request.unique, new Uint8Array(0), reply.errno)
    serve(buffer)
  })
}

process.on('message', (message: { mode: DiskMode }) => {
  mode = message.mode
  release()
  process.send?.('done')
})
process.on('disconnect', () => process.exit())
serve(new Uint8Array(REQUEST_BUFFER))
process.send?.('done')
