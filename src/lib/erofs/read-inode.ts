import { copyOf } from '#lib/bytes'
import {
  BLOCK,
  direntType,
  INODE,
  LAYOUT_INLINE,
  MAX_TAIL,
  MAX_TARGET,
  MAX_XATTRS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SLOT,
} from './format.ts'
import type { Superblock } from './read-superblock.ts'
import { type ErofsSource, invalid } from './source.ts'
import { decodeXattrs, type Xattr } from './xattr.ts'

/** An inode whose own fields are proven. */
export interface Inode {
  readonly nid: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly seconds: number
  readonly nanoseconds: number
  readonly nlink: number
  readonly ino: number
  /** Start block or device number. */
  readonly block: number
  /** Whole blocks of data from `block` on. */
  readonly blocks: number
  readonly inline: boolean
  readonly tailAt: number
  readonly xattrs: readonly Xattr[]
  /** Its first byte in the image, and the one after inode, xattrs and tail. */
  readonly at: number
  readonly end: number
}

/** Parses the inode at `nid` and checks layout, tail, block range and xattrs. */
export function parseInode(source: ErofsSource, superblock: Superblock, nid: number): Inode {
  const at = superblock.metaBlock * BLOCK + nid * SLOT
  if (!Number.isSafeInteger(at) || nid < superblock.rootNid || at + INODE > source.size) {
    throw invalid('an inode lies outside the metadata area')
  }
  const bytes = copyOf(source.read(at, INODE))
  const view = new DataView(bytes.buffer)
  const u32 = (offset: number): number => view.getUint32(offset, true)
  const format = view.getUint16(0, true)
  const inline = format === (1 | (LAYOUT_INLINE << 1))
  if (format !== 1 && !inline) throw invalid('an inode has a layout that is not ours')
  const mode = view.getUint16(4, true)
  const size = Number(view.getBigUint64(8, true))
  if (direntType(mode) === 0) throw invalid('an inode has no type')
  if (view.getUint16(6, true) !== 0 || bytes.subarray(48).some((byte) => byte !== 0)) {
    throw invalid('a reserved byte of an inode is set')
  }
  if (u32(40) >= 1e9 || u32(20) === 0 || u32(44) === 0) throw invalid('a field is out of range')
  const xattrs = parseXattrs(source, at + INODE, view.getUint16(2, true))
  const tailAt = at + INODE + xattrs.length
  const tail = inline ? size % BLOCK : 0
  checkData({ mode, size, inline, tail, tailAt, head: INODE + xattrs.length })
  const blocks = dataBlocks(mode, size, inline)
  const block = u32(16)
  if (
    blocks > 0 ? block < 1 || block + blocks > superblock.metaBlock : hasData(mode) && block !== 0
  ) {
    throw invalid('data of an inode lies outside the data area')
  }
  if (blocks > 0 && !inline && size % BLOCK !== 0) {
    const padding = source.read(block * BLOCK + size, blocks * BLOCK - size)
    if (padding.some((byte) => byte !== 0)) throw invalid('padding after data is not zero')
  }
  if (tailAt + tail > source.size) throw invalid('a tail leaves the image')
  return {
    nid,
    mode,
    uid: u32(24),
    gid: u32(28),
    size,
    seconds: Number(view.getBigInt64(32, true)),
    nanoseconds: u32(40),
    nlink: u32(44),
    ino: u32(20),
    block,
    blocks,
    inline,
    tailAt,
    xattrs: xattrs.list,
    at,
    end: tailAt + tail,
  }
}

function parseXattrs(
  source: ErofsSource,
  at: number,
  icount: number,
): { readonly length: number; readonly list: readonly Xattr[] } {
  const length = icount === 0 ? 0 : 12 + (icount - 1) * 4
  if (length > MAX_XATTRS || at + length > source.size) throw invalid('xattrs are too long')
  const list = decodeXattrs(source.read(at, length))
  if (list === undefined || (icount > 0 && list.length === 0)) {
    throw invalid('xattrs of an inode are not as we write them')
  }
  return { length, list }
}

interface DataShape {
  readonly mode: number
  readonly size: number
  readonly inline: boolean
  readonly tail: number
  readonly tailAt: number
  /** Bytes of inode and xattrs. */
  readonly head: number
}

function checkData({ mode, size, inline, tail, tailAt, head }: DataShape): void {
  const type = mode & S_IFMT
  if (!Number.isSafeInteger(size)) throw invalid('a size is too large')
  if (!hasData(mode) && size !== 0) throw invalid('a device or fifo has a size')
  if (type === S_IFLNK && (size === 0 || size > MAX_TARGET)) throw invalid('a symlink is too long')
  if (type === S_IFDIR && size < 27) throw invalid('a directory is too short')
  if (!inline) return
  if (tail === 0 || head + tail > BLOCK || (tailAt % BLOCK) + tail > BLOCK) {
    throw invalid('a tail crosses a block')
  }
  if (type !== S_IFDIR && tail > MAX_TAIL) throw invalid('a tail is longer than we write')
}

function dataBlocks(mode: number, size: number, inline: boolean): number {
  if (!hasData(mode)) return 0
  return inline ? Math.floor(size / BLOCK) : Math.ceil(size / BLOCK)
}

function hasData(mode: number): boolean {
  const type = mode & S_IFMT
  return type === S_IFREG || type === S_IFDIR || type === S_IFLNK
}
