import type { FuseRequest } from './frames.ts'
import { ERRNO } from './frames.ts'
import type { Attributes, DirectoryEntry } from './replies.ts'
import {
  attributesBody,
  directoryBody,
  entryBody,
  initBody,
  openBody,
  SEALED_OPEN_FLAGS,
  statfsBody,
  WRITABLE_OPEN_FLAGS,
} from './replies.ts'

/** A file of the directory: its name (ASCII, no slash) and its size in bytes, which never changes. */
export interface FlatFile {
  readonly name: string
  readonly size: number
  /** Takes WRITE, and FALLOCATE that makes zeros; default false. */
  readonly writable?: boolean
}

/**
 * What to answer: nothing, an errno, a body, or what became of a range of file number `file`: its bytes,
 * that `data` were written, that it is zeros now.
 */
export type FuseAnswer =
  | { readonly kind: 'none' }
  | { readonly kind: 'error'; readonly errno: number }
  | { readonly kind: 'body'; readonly body: Uint8Array }
  | {
      readonly kind: 'read' | 'zero'
      readonly file: number
      readonly offset: number
      readonly size: number
    }
  | {
      readonly kind: 'write'
      readonly file: number
      readonly offset: number
      /** A view of the request. */
      readonly data: Uint8Array
    }

const ROOT = 1n
const FIRST_FILE = 2n
const DIRECTORY_MODE = 0o040500
const FILE_MODE = 0o100400
const WRITABLE_MODE = 0o100600
const O_ACCMODE = 3
const FATTR_SIZE = 8
// FALLOC_FL_: with KEEP_SIZE or without, a range inside the file becomes zeros.
const KEEP_SIZE = 1
const PUNCH_HOLE = 2
const ZERO_RANGE = 16
const EMPTY = new Uint8Array(0)

/**
 * A directory with a fixed list of files of fixed sizes: node 1 is the directory, node 2 + i file i. It
 * decides every answer and reads no data, so that it can be tested and fuzzed without a kernel.
 */
export class FlatDirectory {
  readonly #files: readonly FlatFile[]
  readonly #nodes = new Map<string, bigint>()
  readonly #entries: DirectoryEntry[]

  constructor(files: readonly FlatFile[]) {
    this.#files = files
    files.forEach(({ name, size }, i) => {
      if (!/^[\w.-]{1,255}$/.test(name) || name === '.' || name === '..' || this.#nodes.has(name)) {
        throw new RangeError(`file name ${JSON.stringify(name)}`)
      }
      if (!Number.isSafeInteger(size) || size < 0) throw new RangeError(`size of ${name}`)
      this.#nodes.set(name, FIRST_FILE + BigInt(i))
    })
    this.#entries = [
      { node: ROOT, name: '.', type: 4 },
      { node: ROOT, name: '..', type: 4 },
      ...files.map(({ name }, i) => ({ node: FIRST_FILE + BigInt(i), name, type: 8 })),
    ]
  }

  /** The answer to one request. */
  answer(request: FuseRequest): FuseAnswer {
    switch (request.op) {
      case 'init':
        // A kernel with another major version would have to start over; ours all speak 7.
        return request.major === 7 ? body(initBody(request)) : failure(ERRNO.EINVAL)
      case 'lookup': {
        if (request.node !== ROOT) return failure(ERRNO.ENOTDIR)
        const node = this.#nodes.get(request.name)
        const attributes = node === undefined ? undefined : this.#attributes(node)
        return attributes === undefined ? failure(ERRNO.ENOENT) : body(entryBody(attributes))
      }
      case 'getattr': {
        const attributes = this.#attributes(request.node)
        return attributes === undefined ? failure(ERRNO.ENOENT) : body(attributesBody(attributes))
      }
      case 'open':
        return this.#open(request.node, request.flags)
      case 'opendir':
        return request.node === ROOT ? body(openBody(0)) : failure(ERRNO.ENOTDIR)
      case 'read':
        return this.#read(request.node, request.offset, request.size)
      case 'readdir': {
        if (request.node !== ROOT) return failure(ERRNO.ENOTDIR)
        const count = BigInt(this.#entries.length)
        const from = Number(request.offset > count ? count : request.offset)
        return body(directoryBody(this.#entries, from, request.size))
      }
      case 'statfs': {
        const blocks = this.#files.reduce((sum, { size }) => sum + Math.ceil(size / 4096), 0)
        return body(statfsBody(BigInt(blocks), this.#files.length))
      }
      case 'setattr':
        return this.#setAttributes(request.node, request.valid)
      case 'write':
        return this.#write(request.node, request.offset, request.data)
      case 'fallocate':
        return this.#fallocate(request.node, request.offset, request.length, request.mode)
      case 'flush':
      case 'release':
      case 'fsync':
      case 'destroy':
        return body(EMPTY)
      case 'forget':
      case 'interrupt':
        return { kind: 'none' }
      case 'other':
        return failure(ERRNO.ENOSYS)
    }
  }

  /** The number of the file that a node is; -1 for the directory and what does not exist. */
  fileOf(node: number): number {
    const file = node - Number(FIRST_FILE)
    return file >= 0 && file < this.#files.length ? file : -1
  }

  /** Bytes of a file by its number. */
  sizeOf(file: number): number {
    return this.#files[file]?.size ?? 0
  }

  #file(node: bigint): FlatFile | undefined {
    return node < FIRST_FILE || node >= FIRST_FILE + BigInt(this.#files.length)
      ? undefined
      : this.#files[Number(node - FIRST_FILE)]
  }

  #attributes(node: bigint): Attributes | undefined {
    if (node === ROOT) return { node, size: 0, mode: DIRECTORY_MODE, links: 2 }
    const file = this.#file(node)
    if (file === undefined) return undefined
    const mode = file.writable === true ? WRITABLE_MODE : FILE_MODE
    return { node, size: file.size, mode, links: 1 }
  }

  #open(node: bigint, flags: number): FuseAnswer {
    if (node === ROOT) return failure(ERRNO.EISDIR)
    const file = this.#file(node)
    if (file === undefined) return failure(ERRNO.ENOENT)
    if (file.writable === true) return body(openBody(WRITABLE_OPEN_FLAGS))
    return (flags & O_ACCMODE) === 0 ? body(openBody(SEALED_OPEN_FLAGS)) : failure(ERRNO.EROFS)
  }

  /** What changes a writable file, or the errno that refuses it. */
  #writable(node: bigint): FlatFile | number {
    const file = this.#file(node)
    if (file === undefined) return node === ROOT ? ERRNO.EISDIR : ERRNO.ENOENT
    return file.writable === true ? file : ERRNO.EROFS
  }

  #setAttributes(node: bigint, valid: number): FuseAnswer {
    const file = this.#writable(node)
    if (typeof file === 'number') return failure(ERRNO.EROFS)
    // Times and modes mean nothing here; the size is fixed.
    const attributes = this.#attributes(node)
    if ((valid & FATTR_SIZE) !== 0 || attributes === undefined) return failure(ERRNO.EPERM)
    return body(attributesBody(attributes))
  }

  #write(node: bigint, offset: bigint, data: Uint8Array): FuseAnswer {
    const file = this.#writable(node)
    if (typeof file === 'number') return failure(file)
    if (offset + BigInt(data.length) > BigInt(file.size)) return failure(ERRNO.EFBIG)
    return { kind: 'write', file: Number(node - FIRST_FILE), offset: Number(offset), data }
  }

  #fallocate(node: bigint, offset: bigint, length: bigint, mode: number): FuseAnswer {
    const file = this.#writable(node)
    if (typeof file === 'number') return failure(file)
    if (![PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE | KEEP_SIZE, ZERO_RANGE].includes(mode)) {
      return failure(ERRNO.EOPNOTSUPP)
    }
    if (length === 0n) return failure(ERRNO.EINVAL)
    if (offset + length > BigInt(file.size)) return failure(ERRNO.EFBIG)
    const at = Number(offset)
    return { kind: 'zero', file: Number(node - FIRST_FILE), offset: at, size: Number(length) }
  }

  #read(node: bigint, offset: bigint, size: number): FuseAnswer {
    const file = this.#file(node)
    if (file === undefined) return failure(node === ROOT ? ERRNO.EISDIR : ERRNO.ENOENT)
    if (offset >= BigInt(file.size)) return body(EMPTY)
    const from = Number(offset)
    return {
      kind: 'read',
      file: Number(node - FIRST_FILE),
      offset: from,
      size: Math.min(size, file.size - from),
    }
  }
}

function body(bytes: Uint8Array): FuseAnswer {
  return { kind: 'body', body: bytes }
}

function failure(errno: number): FuseAnswer {
  return { kind: 'error', errno }
}
