import { readdirSync, readlinkSync } from 'node:fs'
import { check, libc } from '#platform/ffi'

const CLONE_NEWNS = 0x20000
const MS_REC_PRIVATE = 16384 | (1 << 18)
const PR_SET_DUMPABLE = 4
const PR_SET_CHILD_SUBREAPER = 36
const RLIMIT_CORE = 4
const F_GETFD = 1
const F_SETFD = 2
const FD_CLOEXEC = 1

/**
 * Moves this thread, and everything it starts later, into a mount namespace of its own where nothing
 * propagates back. Call it first of all in a program: threads that exist already (libuv's pool after
 * the first asynchronous file call) stay behind, since unshare(2) acts on one thread.
 */
export function enterPrivateMounts(): void {
  // Safe: one integer; acts on the calling thread.
  check(libc.unshare(CLONE_NEWNS), 'unshare', 'the mount namespace')
  // Safe: strings are copied by the kernel; source, type and data are ignored for a propagation change.
  check(libc.mount('none', '/', 'none', BigInt(MS_REC_PRIVATE), ''), 'mount', 'private /')
}

/** No core file and no ptrace or /proc/PID/mem by processes without CAP_SYS_PTRACE. */
export function forbidDumps(): void {
  // Safe: integers only.
  check(libc.prctl(PR_SET_DUMPABLE, 0n, 0n, 0n, 0n), 'prctl', 'PR_SET_DUMPABLE')
  // One byte and not none: where cores go to a program (`|` in core_pattern) the kernel ignores a
  // limit of 0, but takes 1 for a ban (core(5), fs/coredump.c); no core file fits into it either.
  const one = new Uint8Array(BigUint64Array.of(1n, 1n).buffer)
  // Safe: struct rlimit64 is two u64. The kernel reads 16 bytes, the old value is not asked for.
  check(libc.prlimit(0, RLIMIT_CORE, one, null), 'prlimit', 'RLIMIT_CORE')
}

/** Orphans below this process become its children, so that their exit can be waited for. */
export function becomeSubreaper(): void {
  // Safe: integers only; acts on the process.
  check(libc.prctl(PR_SET_CHILD_SUBREAPER, 1n, 0n, 0n, 0n), 'prctl', 'PR_SET_CHILD_SUBREAPER')
}

/**
 * Closes what was inherited above descriptor `last`, and keeps descriptors 3 to `last` from children.
 * Call it before anything was opened. Node opens its own with O_CLOEXEC, but at its start it also marks
 * the lowest inherited ones so: the mark proves nothing. What has a name or is a socket came from
 * outside in any case; a marked pipe or eventfd cannot be told from Node's own and stays, unused.
 */
export function closeInherited(last: number): void {
  for (const name of readdirSync('/proc/self/fd')) {
    const fd = Number(name)
    if (fd < 3) continue
    // Safe: integers only; F_GETFD of a closed descriptor is EBADF, nothing more.
    const flags = libc.fcntl(fd, F_GETFD, 0n)
    if (flags === -1) continue
    if (fd <= last) keepFromChildren(fd)
    else if ((flags & FD_CLOEXEC) === 0 || isForeign(fd)) {
      // Safe: not one of Node's, so nobody in this process holds it.
      libc.close(fd)
    }
  }
}

function isForeign(fd: number): boolean {
  const target = readlinkSync(`/proc/self/fd/${fd}`)
  return target.startsWith('socket:') || (target.startsWith('/') && target !== '/dev/null')
}

/** Sets FD_CLOEXEC. */
export function keepFromChildren(fd: number): void {
  // Safe: integers only.
  check(libc.fcntl(fd, F_SETFD, BigInt(FD_CLOEXEC)), 'fcntl', `close-on-exec of descriptor ${fd}`)
}
