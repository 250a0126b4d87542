import { Writer } from '#lib/bytes'
import { MAX_READ, REPLY_HEADER } from './frames.ts'

/** What is said of a file or of the directory; sizes in bytes, modes as in stat(2). */
export interface Attributes {
  readonly node: bigint
  readonly size: number
  readonly mode: number
  readonly links: number
}

/** An entry of READDIR. `type` is the file type of `mode` (4 directory, 8 regular file). */
export interface DirectoryEntry {
  readonly node: bigint
  readonly name: string
  readonly type: number
}

// Nothing here ever changes, so the kernel need not ask twice: 2^30 seconds.
const VALID_SECONDS = 1n << 30n
const MAX_BACKGROUND = 64
const CONGESTION = 48
const PAGE = 4096

// INIT flags (uapi/linux/fuse.h): ASYNC_READ 0, BIG_WRITES 5, ASYNC_DIO 15, PARALLEL_DIROPS 18,
// ABORT_ERROR 21, MAX_PAGES 22. Not WRITEBACK_CACHE: what is written is in the cache of ext4 already.
const WANTED_FLAGS = [0, 5, 15, 18, 21, 22].reduce((sum, bit) => sum | (1 << bit), 0)
// Of the second word: what answers to no request in so many seconds is dead, and the kernel ends the
// connection (Linux 6.15). Without it, whoever waits for a process that cannot answer waits for ever.
const INIT_EXT = 1 << 30
const REQUEST_TIMEOUT = 1 << 10
const TIMEOUT_SECONDS = 60
/** The minor version that these replies are laid out for. */
export const MINOR = 31

/** FOPEN_DIRECT_IO | FOPEN_KEEP_CACHE: file data is cached once, by EROFS (docs/rootfs.md). */
export const SEALED_OPEN_FLAGS = 3
/** FOPEN_DIRECT_IO | FOPEN_PARALLEL_DIRECT_WRITES: several writes to the file at a time (Linux 6.2). */
export const WRITABLE_OPEN_FLAGS = 65

/** The 16 bytes before every reply's body: `error` is 0 or an errno (it is sent negated). */
export function replyHeader(
  unique: bigint,
  bodyLength: number,
  error = 0,
): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(REPLY_HEADER)
  writeReplyHeader(out, unique, bodyLength, error)
  return out
}

/** `replyHeader` into the first bytes of a buffer that is used again and again. */
export function writeReplyHeader(
  into: Uint8Array,
  unique: bigint,
  bodyLength: number,
  error = 0,
): void {
  const view = new DataView(into.buffer, into.byteOffset, REPLY_HEADER)
  view.setUint32(0, REPLY_HEADER + bodyLength, true)
  view.setInt32(4, -error, true)
  view.setBigUint64(8, unique, true)
}

/** Body of the INIT reply: of what the kernel offers, the flags that the server knows. */
export function initBody(kernel: {
  readonly minor: number
  readonly maxReadahead: number
  readonly flags: number
  readonly flags2: number
}): Uint8Array {
  const extended = (kernel.flags & INIT_EXT) !== 0
  const flags2 = extended ? kernel.flags2 & REQUEST_TIMEOUT : 0
  const flags = kernel.flags & (WANTED_FLAGS | (flags2 === 0 ? 0 : INIT_EXT))
  return new Writer()
    .u32le(7)
    .u32le(Math.min(kernel.minor, MINOR))
    .u32le(kernel.maxReadahead)
    .u32le(flags >>> 0)
    .u16le(MAX_BACKGROUND)
    .u16le(CONGESTION)
    .u32le(MAX_READ) // max_write
    .u32le(1) // time granularity, ns
    .u16le(MAX_READ / PAGE) // max_pages
    .u16le(0) // map_alignment
    .u32le(flags2)
    .u32le(0) // max_stack_depth
    .u16le(flags2 === 0 ? 0 : TIMEOUT_SECONDS)
    .zeros(22)
    .finish()
}

/** Body of LOOKUP: 40 bytes of node and validity, then the attributes. */
export function entryBody(attributes: Attributes): Uint8Array {
  return new Writer()
    .u64le(attributes.node)
    .u64le(0n) // generation
    .u64le(VALID_SECONDS)
    .u64le(VALID_SECONDS)
    .u32le(0)
    .u32le(0)
    .bytes(attributesField(attributes))
    .finish()
}

/** Body of GETATTR: 16 bytes of validity, then the attributes. */
export function attributesBody(attributes: Attributes): Uint8Array {
  return new Writer()
    .u64le(VALID_SECONDS)
    .u32le(0)
    .u32le(0)
    .bytes(attributesField(attributes))
    .finish()
}

/** Body of OPEN and OPENDIR. */
export function openBody(flags: number): Uint8Array {
  return new Writer().u64le(0n).u32le(flags).u32le(0).finish()
}

/** Body of WRITE: how many bytes were written. */
export function writeBody(size: number): Uint8Array {
  return new Writer().u32le(size).u32le(0).finish()
}

/** Body of STATFS: a full, read-only filesystem. */
export function statfsBody(blocks: bigint, files: number): Uint8Array {
  return new Writer()
    .u64le(blocks)
    .u64le(0n)
    .u64le(0n)
    .u64le(BigInt(files))
    .u64le(0n)
    .u32le(PAGE)
    .u32le(255)
    .u32le(PAGE)
    .zeros(28)
    .finish()
}

/** Body of READDIR from entry `from` on, cut before it would pass `size` bytes. */
export function directoryBody(
  entries: readonly DirectoryEntry[],
  from: number,
  size: number,
): Uint8Array {
  const w = new Writer()
  for (let i = from; i < entries.length; i += 1) {
    const entry = entries[i]
    if (entry === undefined) break
    const name = Uint8Array.from(entry.name, (ch) => ch.charCodeAt(0))
    const padding = -(24 + name.length) & 7
    if (w.length + 24 + name.length + padding > size) break
    w.u64le(entry.node)
      .u64le(BigInt(i + 1)) // where the next READDIR goes on
      .u32le(name.length)
      .u32le(entry.type)
      .bytes(name)
      .zeros(padding)
  }
  return w.finish()
}

/** `struct fuse_attr`, 88 bytes. */
function attributesField(attributes: Attributes): Uint8Array {
  return new Writer()
    .u64le(attributes.node)
    .u64le(BigInt(attributes.size))
    .u64le(BigInt(Math.ceil(attributes.size / 512)))
    .zeros(24 + 12) // times: none
    .u32le(attributes.mode)
    .u32le(attributes.links)
    .zeros(12) // uid, gid, rdev
    .u32le(PAGE)
    .u32le(0) // flags
    .finish()
}
