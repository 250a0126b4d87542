import { constants } from 'node:os'
import { errno } from './libc.ts'

/** A system call of ours failed: the call, what it was about, and the errno by name. */
export class SystemError extends Error {
  readonly syscall: string
  readonly errno: number
  /** `ENOENT`, `EBUSY`, …; `E<number>` where the name is not known. */
  readonly code: string

  constructor(syscall: string, about: string, number: number) {
    const code = errnoName(number)
    super(`${syscall} ${about}: ${code}`)
    this.name = 'SystemError'
    this.syscall = syscall
    this.errno = number
    this.code = code
  }
}

/** The name of an errno. EAGAIN is preferred to EWOULDBLOCK, which has the same number. */
export function errnoName(number: number): string {
  if (number === constants.errno.EAGAIN) return 'EAGAIN'
  for (const [name, value] of Object.entries(constants.errno)) {
    if (value === number) return name
  }
  // Node's table stops before these two, which the mount stack uses.
  if (number === 15) return 'ENOTBLK'
  if (number === 117) return 'EUCLEAN'
  return `E${number}`
}

/** The error of the call that just returned -1 on this thread. */
export function lastError(syscall: string, about: string): SystemError {
  return new SystemError(syscall, about, errno())
}

/** Throws `lastError` if `result` is -1. */
export function check(result: number | bigint, syscall: string, about: string): void {
  if (result === -1 || result === -1n) throw lastError(syscall, about)
}

/**
 * Refuses a NUL inside a string for C: the callee would see a shorter one, so that the path that was
 * checked and the path that is used could differ.
 */
export function cString(value: string): string {
  if (value.includes('\0')) throw new TypeError('a string for the kernel contains NUL')
  return value
}
