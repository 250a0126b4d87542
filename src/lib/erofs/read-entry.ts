import { compareBytes } from '#lib/bytes'
import { BLOCK, S_IFDIR, S_IFLNK, S_IFMT, S_IFREG } from './format.ts'
import type { Inode } from './read-inode.ts'
import { type ErofsSource, invalid } from './source.ts'
import type { Xattr } from './xattr.ts'

/** One path of an image. */
export interface ErofsEntry {
  /** Bytes from the root without a leading slash; empty for the root. */
  readonly path: Uint8Array
  /** Equal for hard links. */
  readonly nid: number
  /** Type and permission bits. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: { readonly seconds: number; readonly nanoseconds: number }
  readonly nlink: number
  /** Devices only, on-disk form. */
  readonly rdev: number
  readonly xattrs: readonly Xattr[]
  /** Bytes of a file or of a symlink's target. */
  content(offset: number, length: number): Uint8Array
}

/** One name of a directory. */
export interface Dirent {
  readonly name: Uint8Array
  readonly nid: number
  readonly type: number
}

/** An inode as the entry of `path`. */
export function entryOf(source: ErofsSource, path: Uint8Array, inode: Inode): ErofsEntry {
  const type = inode.mode & S_IFMT
  const hasBytes = type === S_IFREG || type === S_IFLNK
  return {
    path,
    nid: inode.nid,
    mode: inode.mode,
    uid: inode.uid,
    gid: inode.gid,
    size: inode.size,
    mtime: { seconds: inode.seconds, nanoseconds: inode.nanoseconds },
    nlink: inode.nlink,
    rdev: hasBytes || type === S_IFDIR ? 0 : inode.block,
    xattrs: inode.xattrs,
    content: (offset, length) =>
      hasBytes ? readData(source, inode, offset, length) : new Uint8Array(0),
  }
}

/** Bytes of an inode's data; the range is cut at its size. */
export function readData(
  source: ErofsSource,
  inode: Inode,
  offset: number,
  length: number,
): Uint8Array {
  const end = Math.min(inode.size, offset + length)
  if (end <= offset) return new Uint8Array(0)
  const inBlocks = inode.inline ? inode.size - (inode.size % BLOCK) : inode.size
  const out = new Uint8Array(end - offset)
  const cut = Math.min(end, inBlocks)
  if (offset < cut) out.set(source.read(inode.block * BLOCK + offset, cut - offset))
  if (end > inBlocks) {
    const from = Math.max(offset, inBlocks)
    out.set(source.read(inode.tailAt + from - inBlocks, end - from), from - offset)
  }
  return out
}

/** The names of a directory without `.` and `..`, which must be right; `parent` is what `..` must be. */
export function* readDirectory(
  source: ErofsSource,
  inode: Inode,
  parent: Inode,
): Generator<Dirent, void, undefined> {
  let previous: Uint8Array | undefined
  let dots = 0
  for (let at = 0; at < inode.size; at += BLOCK) {
    const block = readData(source, inode, at, BLOCK)
    const whole = at + BLOCK <= inode.size
    for (const dirent of parseDirectoryBlock(block, whole)) {
      if (previous !== undefined && compareBytes(previous, dirent.name) >= 0) {
        throw invalid('names of a directory do not ascend')
      }
      previous = dirent.name
      if (isDots(dirent.name)) {
        const target = dirent.name.length === 1 ? inode : parent
        if (dirent.nid !== target.nid || dirent.type !== 2) throw invalid('a . or .. is wrong')
        dots++
      } else {
        yield dirent
      }
    }
  }
  if (dots !== 2) throw invalid('a directory lacks . or ..')
}

/** Dirents of one block; its shape must be the one the writer gives. */
function parseDirectoryBlock(block: Uint8Array, whole: boolean): Dirent[] {
  const view = new DataView(block.buffer, block.byteOffset, block.byteLength)
  const first = block.length < 12 ? 0 : view.getUint16(8, true)
  const count = first / 12
  if (!Number.isInteger(count) || count < 1 || first > block.length) {
    throw invalid('a directory block has a wrong first offset')
  }
  const found: Dirent[] = []
  let at = first
  for (let i = 0; i < count; i++) {
    const nid = Number(view.getBigUint64(i * 12, true))
    const next =
      i + 1 < count ? view.getUint16((i + 1) * 12 + 8, true) : endOfName(block, at, whole)
    const name = block.slice(at, next)
    if (view.getUint16(i * 12 + 8, true) !== at || next <= at || next > block.length) {
      throw invalid('a name lies outside its block')
    }
    if (name.length > 255 || name.includes(0) || name.includes(0x2f)) throw invalid('a bad name')
    if (view.getUint8(i * 12 + 11) !== 0) throw invalid('a reserved byte is set')
    found.push({ name, nid, type: view.getUint8(i * 12 + 10) })
    at = next
  }
  if (block.subarray(at).some((byte) => byte !== 0)) throw invalid('bytes follow the last name')
  return found
}

function endOfName(block: Uint8Array, at: number, whole: boolean): number {
  const end = whole ? block.indexOf(0, at) : -1
  return end < 0 ? block.length : end
}

function isDots(name: Uint8Array): boolean {
  return name[0] === 0x2e && (name.length === 1 || (name.length === 2 && name[1] === 0x2e))
}

/** The path of a name in a directory. */
export function joinPath(directory: Uint8Array, name: Uint8Array): Uint8Array<ArrayBuffer> {
  if (directory.length === 0) return Uint8Array.from(name)
  const path = new Uint8Array(directory.length + 1 + name.length)
  path.set(directory)
  path[directory.length] = 0x2f
  path.set(name, directory.length + 1)
  return path
}
