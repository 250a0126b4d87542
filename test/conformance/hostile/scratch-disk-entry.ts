import { read, writevSync } from 'node:fs'
import {
  ERRNO,
  FlatDirectory,
  type FuseRequest,
  MAX_READ,
  parseRequest,
  REQUEST_BUFFER,
  replyHeader,
  writeBody,
} from '#lib/fuse'
import { mountFuse } from '#platform/fuse'
import { linuxMounts } from '#platform/mount'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import { DiskChunks } from './disk-chunks.ts'
import type { ScratchDiskMode } from './scratch-disk-modes.ts'

// A disk that treats what is written to it as it likes, behind a FUSE server that the attacker runs. Whatever file
// is created on it is file 0, until it is unlinked: init's scratch. File 1, `twin`, is always there.
// Arguments: the mount point, the size of a file, a seed. Orders come as messages.

/** What comes as a message: the mode from now on. `fresh` makes both files empty first. */
export interface ScratchDiskOrder {
  readonly mode: ScratchDiskMode
  readonly fresh: boolean
}

// uapi/linux/fuse.h: how init's file comes into being and loses its name.
const UNLINK = 10
const CREATE = 35
const O_RDWR = 2
const EMPTY = new Uint8Array(0)
const CHUNK = 4096

const [mountPoint = '', length = '0', seed = '1'] = process.argv.slice(2)
const size = Number(length)
const directory = new FlatDirectory([
  { name: 'scratch', size, writable: true },
  { name: 'twin', size, writable: true },
])
const random = randomOf(Number(seed))
let files = [new DiskChunks(), new DiskChunks()]
let mode: ScratchDiskMode = 'honest'

interface ReadJob {
  readonly unique: bigint
  readonly file: DiskChunks
  readonly offset: number
  readonly size: number
}

interface WriteJob {
  readonly unique: bigint
  readonly file: DiskChunks
  readonly offset: number
  readonly data: Uint8Array
}

/** Requests that wait for one another, and writes that were answered and are still to be made. */
let held: (ReadJob | WriteJob)[] = []
let late: WriteJob[] = []
// Where the last reads were, the latest first.
let asked: number[] = []

const device = mountFuse(linuxMounts, mountPoint, MAX_READ)

/** Answers a request that is gone: its asker was killed, or the mount went. Nothing to do then. */
function send(unique: bigint, data: Uint8Array, errno = 0): void {
  try {
    writevSync(device, [replyHeader(unique, data.length, errno), data])
  } catch (error) {
    if (!['ENOENT', 'ENODEV'].includes((error as { code?: string }).code ?? '')) throw error
  }
}

// The kernel reads again what it could not read ahead: of reads it takes more for one to fail for good.
function sometimes(of: 'reads' | 'writes'): boolean {
  return random(of === 'reads' ? 3 : 8) === 0
}

/** As an honest disk does. */
function serve(job: ReadJob | WriteJob): void {
  if ('size' in job) send(job.unique, job.file.read(job.offset, job.size))
  else {
    job.file.write(job.offset, job.data)
    send(job.unique, writeBody(job.data.length))
  }
}

function hold(job: ReadJob | WriteJob): void {
  held.push(job)
  if (held.length === 2) release()
  else setTimeout(release, 3)
}

function release(): void {
  const jobs = held
  held = []
  for (const job of jobs.reverse()) serve(job)
}

/** Another place of the same file where `count` bytes are. */
function elsewhere(offset: number, count: number): number {
  const next = offset + CHUNK * (1 + random(8))
  return next + count <= size ? next : Math.max(0, offset - CHUNK)
}

function answerRead(job: ReadJob): void {
  const { unique, file, offset, size: count } = job
  switch (mode) {
    case 'delays':
      setTimeout(serve, random(4), job)
      return
    case 'answers in reverse order':
      hold(job)
      return
    case 'reads and writes short':
      send(unique, file.read(offset, 1 + random(count)))
      return
    case 'fails at random':
      if (!sometimes('reads')) break
      send(unique, EMPTY, ERRNO.EIO)
      return
    case 'reads and writes nothing':
      if (!sometimes('reads')) break
      send(unique, EMPTY)
      return
    case 'reads what was written before':
      if (!sometimes('reads')) break
      send(unique, file.readBefore(offset, count, random))
      return
    case 'answers what was asked before': {
      // Not the same place: what failed is asked for again.
      const other = asked.find((each) => each !== offset)
      asked = [offset, ...asked].slice(0, 8)
      if (other === undefined || !sometimes('reads')) break
      send(unique, file.read(other, count))
      return
    }
    case 'reads at another place':
      if (!sometimes('reads')) break
      send(unique, file.read(elsewhere(offset, count), count))
      return
    case 'changes a byte': {
      const bytes = file.read(offset, count)
      const at = random(bytes.length)
      if (sometimes('reads')) bytes[at] = (bytes[at] ?? 0) ^ 0x20
      send(unique, bytes)
      return
    }
  }
  serve(job)
}

function answerWrite(job: WriteJob): void {
  const { unique, file, offset, data } = job
  const done = (): void => send(unique, writeBody(data.length))
  switch (mode) {
    case 'delays':
      setTimeout(serve, random(4), job)
      return
    case 'answers in reverse order':
      hold(job)
      return
    case 'reads and writes short':
      serve({ ...job, data: data.subarray(0, 1 + random(data.length)) })
      return
    case 'fails at random':
      if (!sometimes('writes')) break
      // What it says it did not do it may have done, whole or in part.
      file.write(offset, data.subarray(0, random(2) * random(data.length + 1)))
      send(unique, EMPTY, random(2) === 0 ? ERRNO.EIO : ERRNO.ENOSPC)
      return
    case 'reads and writes nothing':
      if (!sometimes('writes')) break
      send(unique, writeBody(0))
      return
    case 'drops writes':
      if (!sometimes('writes')) break
      done()
      return
    case 'writes in another order': {
      done()
      if (sometimes('writes')) late.push(job)
      else {
        file.write(offset, data)
        makeLate((other) => meet(other, job))
      }
      return
    }
    case 'writes to another place':
      if (!sometimes('writes')) break
      file.write(elsewhere(offset, data.length), data)
      done()
      return
    case 'tears writes':
      if (!sometimes('writes')) break
      file.write(offset, data.subarray(0, random(data.length)))
      done()
      return
  }
  serve(job)
}

function makeLate(which: (job: WriteJob) => boolean): void {
  const ready = late.filter(which)
  late = late.filter((job) => !ready.includes(job))
  for (const { file, offset, data } of ready) file.write(offset, data)
}

function meet(a: WriteJob, b: WriteJob): boolean {
  const apart = a.offset + a.data.length <= b.offset || b.offset + b.data.length <= a.offset
  return a.file === b.file && !apart
}

/** CREATE is LOOKUP and OPEN of a new name in one; the size is what it is. True where it was one of ours. */
function answerName(request: FuseRequest): boolean {
  const answerOf = (asked: object): Uint8Array => {
    const answer = directory.answer({ ...request, ...asked } as FuseRequest)
    if (answer.kind !== 'body') throw new TypeError(answer.kind)
    return answer.body
  }
  if (request.op === 'setattr') send(request.unique, answerOf({ op: 'getattr' }))
  else if (request.op === 'other' && request.opcode === UNLINK) send(request.unique, EMPTY)
  else if (request.op === 'other' && request.opcode === CREATE) {
    const entry = answerOf({ op: 'lookup', name: 'scratch' })
    const open = answerOf({ op: 'open', node: 2n, flags: O_RDWR })
    send(request.unique, Buffer.concat([entry, open]))
  } else return false
  return true
}

function answer(request: FuseRequest): void {
  if (answerName(request)) return
  const { unique, node } = request
  if (request.op === 'fsync') files[Number(node) - 2]?.sync()
  const reply = directory.answer(request)
  if (reply.kind === 'none') return
  if (reply.kind === 'body') send(unique, reply.body)
  else if (reply.kind === 'error') send(unique, EMPTY, reply.errno)
  else {
    const file = files[reply.file] as DiskChunks
    const { offset } = reply
    if (reply.kind === 'read') answerRead({ unique, file, offset, size: reply.size })
    else if (reply.kind === 'write') {
      answerWrite({ unique, file, offset, data: Uint8Array.from(reply.data) })
    } else {
      file.write(offset, new Uint8Array(reply.size))
      send(unique, EMPTY)
    }
  }
}

function listen(buffer: Uint8Array): void {
  read(device, buffer, 0, buffer.length, null, (error, count) => {
    if (error !== null) {
      if (error.code === 'ENODEV' || error.code === 'ECONNABORTED') process.exit()
      if (!['ENOENT', 'EINTR', 'EAGAIN'].includes(error.code ?? '')) throw error
    } else answer(parseRequest(buffer.subarray(0, count)))
    listen(buffer)
  })
}

process.on('message', (order: ScratchDiskOrder) => {
  release()
  makeLate(() => true)
  if (mode === 'loses what was not synced') for (const file of files) file.lose(random)
  mode = order.mode
  if (order.fresh) files = files.map(() => new DiskChunks())
  process.send?.('done')
})
process.on('disconnect', () => process.exit())
listen(new Uint8Array(REQUEST_BUFFER))
process.send?.('done')
