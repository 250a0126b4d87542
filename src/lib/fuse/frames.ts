import { FormatError, Reader } from '#lib/bytes'

/**
 * The part of the kernel's FUSE protocol (`include/uapi/linux/fuse.h`, 7.31) that one directory with a
 * few files of fixed sizes needs. Requests are little endian on every machine that we run on.
 */
export const OPCODE = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  interrupt: 36,
  destroy: 38,
  batchForget: 42,
  fallocate: 43,
} as const

/** Errno values that replies carry. */
export const ERRNO = {
  EPERM: 1,
  ENOENT: 2,
  EIO: 5,
  EISDIR: 21,
  EINVAL: 22,
  EFBIG: 27,
  ENOSPC: 28,
  EROFS: 30,
  ENOSYS: 38,
  ENOTDIR: 20,
  EOPNOTSUPP: 95,
} as const

/** Bytes of a request's header. */
export const REQUEST_HEADER = 40
/** Bytes of a reply's header. */
export const REPLY_HEADER = 16
/** The largest READ and WRITE that we negotiate: 256 pages. */
export const MAX_READ = 1_048_576
/** What the buffer for one request must hold at least; smaller is EINVAL after INIT. */
export const REQUEST_BUFFER: number = MAX_READ + 4096

const MAX_NAME = 255

/** One request, parsed. Operations that the server does not serve are `other`. */
export type FuseRequest = RequestBase & RequestBody

interface RequestBase {
  readonly unique: bigint
  readonly node: bigint
}

/** What a request asks. */
export type RequestBody =
  | {
      readonly op: 'init'
      readonly major: number
      readonly minor: number
      readonly maxReadahead: number
      readonly flags: number
      /** 0 where the kernel sends none. */
      readonly flags2: number
    }
  | { readonly op: 'lookup'; readonly name: string }
  | { readonly op: 'getattr' | 'statfs' | 'release' | 'flush' | 'fsync' | 'destroy' }
  | { readonly op: 'setattr'; readonly valid: number }
  /** `data` is a view of the request. */
  | { readonly op: 'write'; readonly offset: bigint; readonly data: Uint8Array }
  | {
      readonly op: 'fallocate'
      readonly offset: bigint
      readonly length: bigint
      readonly mode: number
    }
  | { readonly op: 'forget' | 'interrupt' }
  | { readonly op: 'open' | 'opendir'; readonly flags: number }
  | { readonly op: 'read' | 'readdir'; readonly offset: bigint; readonly size: number }
  | { readonly op: 'other'; readonly opcode: number }

type PlainOp =
  | 'getattr'
  | 'statfs'
  | 'release'
  | 'flush'
  | 'fsync'
  | 'destroy'
  | 'forget'
  | 'interrupt'

const PLAIN: Readonly<Record<number, PlainOp>> = {
  [OPCODE.getattr]: 'getattr',
  [OPCODE.statfs]: 'statfs',
  [OPCODE.release]: 'release',
  [OPCODE.releasedir]: 'release',
  [OPCODE.flush]: 'flush',
  [OPCODE.fsync]: 'fsync',
  [OPCODE.destroy]: 'destroy',
  [OPCODE.forget]: 'forget',
  [OPCODE.batchForget]: 'forget',
  [OPCODE.interrupt]: 'interrupt',
}

/**
 * Parses what one read of `/dev/fuse` returned. Throws `FormatError` where lengths do not fit; the
 * length field must equal the bytes read, since one read returns one whole request.
 */
export function parseRequest(bytes: Uint8Array): FuseRequest {
  const r = new Reader(bytes)
  const length = r.u32le('request length')
  const opcode = r.u32le('opcode')
  const unique = r.u64le('unique')
  const node = r.u64le('node id')
  r.bytes(16, 'uid, gid, pid, extensions')
  if (length !== bytes.length) {
    // One read is one request: another length means that this is not a request at all.
    throw new FormatError(
      'FORMAT_INVALID',
      'request length',
      0,
      `is ${length}, but ${bytes.length} bytes were read`,
    )
  }
  return { unique, node, ...parseBody(opcode, r) }
}

function parseBody(opcode: number, r: Reader): RequestBody {
  switch (opcode) {
    case OPCODE.init: {
      const major = r.u32le('major')
      const minor = r.u32le('minor')
      return {
        op: 'init',
        major,
        minor,
        maxReadahead: r.u32le('readahead'),
        flags: r.u32le('flags'),
        flags2: r.remaining >= 4 ? r.u32le('flags2') : 0,
      }
    }
    case OPCODE.lookup:
      return { op: 'lookup', name: name(r) }
    case OPCODE.open:
    case OPCODE.opendir:
      return { op: opcode === OPCODE.open ? 'open' : 'opendir', flags: r.u32le('open flags') }
    case OPCODE.read:
    case OPCODE.readdir: {
      r.u64le('file handle')
      const offset = r.u64le('offset')
      return {
        op: opcode === OPCODE.read ? 'read' : 'readdir',
        offset,
        size: r.countLe('read size', MAX_READ),
      }
    }
    case OPCODE.write:
      return write(r)
    case OPCODE.fallocate: {
      r.u64le('file handle')
      const offset = r.u64le('offset')
      const length = r.u64le('length')
      return { op: 'fallocate', offset, length, mode: r.u32le('mode') }
    }
    case OPCODE.setattr:
      return { op: 'setattr', valid: r.u32le('valid') }
    default: {
      const op = PLAIN[opcode]
      return op === undefined ? { op: 'other', opcode } : { op }
    }
  }
}

function write(r: Reader): RequestBody {
  r.u64le('file handle')
  const offset = r.u64le('offset')
  const size = r.countLe('write size', MAX_READ)
  r.bytes(20, 'write flags, lock owner, flags')
  const data = r.bytes(size, 'write data')
  r.end('write')
  return { op: 'write', offset, data }
}

/** A name ends with its NUL and at nothing else. Our names are ASCII; others simply do not match. */
function name(r: Reader): string {
  const bytes = r.bytes(r.remaining, 'name')
  const end = bytes.indexOf(0)
  if (end < 0 || end > MAX_NAME) {
    throw new FormatError(
      end < 0 ? 'FORMAT_TRUNCATED' : 'FORMAT_LIMIT',
      'name',
      REQUEST_HEADER,
      end < 0 ? 'has no NUL at its end' : `is longer than ${MAX_NAME} bytes`,
    )
  }
  return String.fromCharCode(...bytes.subarray(0, end))
}
