import { closeSync, constants, openSync } from 'node:fs'
import { check, libc } from '#platform/ffi'

// linux/fs.h: _IOWR('X', 121, struct fstrim_range), three u64: start, length, smallest extent.
const FITRIM = 0xc0185879n
// _IOR('X', 125, __u32); 2 is "do not write what is not written".
const FS_IOC_SHUTDOWN = 0x8004587dn
const GOING_NOLOGFLUSH = 2

/**
 * Discards what the filesystem at `path` does not use between two of its bytes, so that the device below
 * can give it back. Blocks for as long as that takes. Throws SystemError.
 */
export function trimFilesystem(path: string, start: number, length: number): void {
  const range = new Uint8Array(BigUint64Array.of(BigInt(start), BigInt(length), 0n).buffer)
  // Safe: the kernel reads and writes 24 bytes, which the array has.
  onDirectory(path, (fd) => check(libc.ioctl(fd, FITRIM, range), 'ioctl', `trim of ${path}`))
}

/**
 * Ends a filesystem whose content is of no use any more: nothing is written from here on, so that it can be
 * unmounted at once, and its users get EIO. Throws SystemError.
 */
export function abandonFilesystem(path: string): void {
  const flags = new Uint8Array(Uint32Array.of(GOING_NOLOGFLUSH).buffer)
  // Safe: the kernel reads one u32.
  onDirectory(path, (fd) => {
    check(libc.ioctl(fd, FS_IOC_SHUTDOWN, flags), 'ioctl', `shutdown of ${path}`)
  })
}

function onDirectory(path: string, act: (fd: number) => void): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY)
  try {
    act(fd)
  } finally {
    closeSync(fd)
  }
}
