/** Log2 of the block size. */
export const BLOCK_LOG2 = 12
/** Block size in bytes. */
export const BLOCK = 4096
/** Bytes of a nid step: inodes stand at multiples of it. */
export const SLOT = 32
/** Bytes of an extended inode. */
export const INODE = 64
/** Bytes of a dirent without its name. */
export const DIRENT = 12
/** Offset of the superblock. */
export const SUPERBLOCK_OFFSET = 1024
/** Bytes of the superblock. */
export const SUPERBLOCK = 128
/** Offset of the uuid in the superblock, and its length. */
export const UUID_OFFSET = 48
/** Bytes of the uuid. */
export const UUID_LENGTH = 16
/** Superblock magic. */
export const MAGIC = 0xe0f5e1e2
/** SB_CHKSUM 1 + MTIME 2. */
export const FEATURE_COMPAT = 3
/** The root's nid: the 64 bytes before it stay empty, nid 0 is never used. */
export const ROOT_NID = 2

/** Data layouts of an inode. */
export const LAYOUT_PLAIN = 0
/** The last bytes stand behind the inode. */
export const LAYOUT_INLINE = 2

/** Type bits of st_mode. */
export const S_IFMT = 0o170000
/** Socket. */
export const S_IFSOCK = 0o140000
/** Symbolic link. */
export const S_IFLNK = 0o120000
/** Regular file. */
export const S_IFREG = 0o100000
/** Block device. */
export const S_IFBLK = 0o060000
/** Directory. */
export const S_IFDIR = 0o040000
/** Character device. */
export const S_IFCHR = 0o020000
/** Fifo. */
export const S_IFIFO = 0o010000

const DIRENT_TYPES: Readonly<Record<number, number>> = {
  [S_IFREG]: 1,
  [S_IFDIR]: 2,
  [S_IFCHR]: 3,
  [S_IFBLK]: 4,
  [S_IFIFO]: 5,
  [S_IFSOCK]: 6,
  [S_IFLNK]: 7,
}

/** The dirent's type of an inode's mode; 0 for a mode that is none. */
export function direntType(mode: number): number {
  return DIRENT_TYPES[mode & S_IFMT] ?? 0
}

/** The on-disk form of a device number. Throws RangeError above 12-bit major, 20-bit minor. */
export function encodeDevice(major: number, minor: number): number {
  if (!(major >= 0 && major < 2 ** 12 && minor >= 0 && minor < 2 ** 20)) {
    throw new RangeError(`device ${major}:${minor}`)
  }
  return ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0
}

/** Major and minor of an on-disk device number. */
export function decodeDevice(rdev: number): { readonly major: number; readonly minor: number } {
  return { major: (rdev >>> 8) & 0xfff, minor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) }
}

/** Inline tails of files and symlinks: at most so many bytes each. */
export const MAX_TAIL = 512
/** Longest symlink target. */
export const MAX_TARGET = 4095
/** Longest name. */
export const MAX_NAME = 255
/** Longest path in bytes. */
export const MAX_PATH = 4096
/** Deepest path in components. */
export const MAX_DEPTH = 256
/** Bytes of all xattrs of one entry. */
export const MAX_XATTRS = 65_536
