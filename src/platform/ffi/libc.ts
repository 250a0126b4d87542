import { dlopen, getInt32 } from 'node:ffi'

/** A pointer argument: a string or bytes for the time of the call, a number for an address, null. */
export type Pointer = string | Uint8Array | bigint | null

/** The C functions that we call. Results are those of C: -1 is failure, with errno set. */
export interface Libc {
  mount(source: Pointer, target: Pointer, type: Pointer, flags: bigint, data: Pointer): number
  umount2(target: Pointer, flags: number): number
  unshare(flags: number): number
  setns(fd: number, kind: number): number
  chroot(path: Pointer): number
  chdir(path: Pointer): number
  fchdir(fd: number): number
  prctl(option: number, a: bigint, b: bigint, c: bigint, d: bigint): number
  prlimit(pid: number, resource: number, value: Pointer, old: Pointer): number
  waitpid(pid: number, status: Uint8Array, options: number): number
  fcntl(fd: number, command: number, argument: bigint): number
  ioctl(fd: number, request: bigint, argument: Pointer): number
  close(fd: number): number
  flock(fd: number, operation: number): number
  fallocate(fd: number, mode: number, offset: bigint, length: bigint): number
  pipe2(pair: Uint8Array, flags: number): number
  socketpair(domain: number, type: number, protocol: number, pair: Uint8Array): number
  /** `syscall(number, path, path, …)`, for calls whose first two arguments are pointers. */
  syscall(
    number: bigint,
    a: Pointer,
    b: Pointer,
    c: bigint,
    d: bigint,
    e: bigint,
    f: bigint,
  ): bigint
}

/**
 * The C functions that we call and Node does not offer. Every signature below is plain integers and
 * pointers, as `man 2` of x86-64 and arm64 Linux has them; a wrong one would crash the process, so
 * this table is the only place where signatures stand. Variadic functions (`fcntl`, `ioctl`, `prctl`,
 * `syscall`) take a fixed signature on both architectures, because their integer and pointer
 * arguments travel in registers as those of ordinary functions do.
 *
 * A string argument becomes a temporary NUL-terminated copy, and a buffer a pointer that is valid
 * for this call only: none of these functions keeps a pointer after it returned.
 */
const { functions: c } = dlopen(null, {
  __errno_location: { return: 'pointer', arguments: [] },
  mount: { return: 'i32', arguments: ['pointer', 'pointer', 'pointer', 'u64', 'pointer'] },
  umount2: { return: 'i32', arguments: ['pointer', 'i32'] },
  unshare: { return: 'i32', arguments: ['i32'] },
  setns: { return: 'i32', arguments: ['i32', 'i32'] },
  chroot: { return: 'i32', arguments: ['pointer'] },
  chdir: { return: 'i32', arguments: ['pointer'] },
  fchdir: { return: 'i32', arguments: ['i32'] },
  prctl: { return: 'i32', arguments: ['i32', 'u64', 'u64', 'u64', 'u64'] },
  prlimit: { return: 'i32', arguments: ['i32', 'i32', 'pointer', 'pointer'] },
  waitpid: { return: 'i32', arguments: ['i32', 'pointer', 'i32'] },
  fcntl: { return: 'i32', arguments: ['i32', 'i32', 'i64'] },
  ioctl: { return: 'i32', arguments: ['i32', 'u64', 'pointer'] },
  close: { return: 'i32', arguments: ['i32'] },
  flock: { return: 'i32', arguments: ['i32', 'i32'] },
  fallocate: { return: 'i32', arguments: ['i32', 'i32', 'i64', 'i64'] },
  pipe2: { return: 'i32', arguments: ['pointer', 'i32'] },
  socketpair: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer'] },
  syscall: {
    return: 'i64',
    arguments: ['i64', 'pointer', 'pointer', 'i64', 'i64', 'i64', 'i64'],
  },
})

/** The wrapped functions, for the modules of `platform/` alone. */
export const libc: Libc = c

// errno is one word a thread; this module is instantiated once a thread, so the address fits.
const errnoAt = c.__errno_location()

/** errno of this thread; meaningful only directly after a call that failed. */
export function errno(): number {
  return getInt32(errnoAt, 0)
}
