import { constants } from 'node:os'
import { check, errno, libc } from '#platform/ffi'

const WNOHANG = 1

/** How a process ended: by exit code, or by signal (then `code` is 128 + signal, as shells say it). */
export interface ExitStatus {
  readonly code: number
  /** 0 if it exited by itself. */
  readonly signal: number
}

/** Decodes the status word of waitpid(2). */
export function exitStatus(word: number): ExitStatus {
  const signal = word & 0x7f
  return signal === 0 ? { code: (word >> 8) & 0xff, signal: 0 } : { code: 128 + signal, signal }
}

/**
 * Waits for adopted children: those of a child that ended, which become ours as subreaper. Only pids
 * that were asked for are reaped; `waitpid(-1)` would steal the children of `child_process`.
 */
export class Reaper implements Disposable {
  readonly #waiting = new Map<number, (status: ExitStatus) => void>()
  readonly #onChild = (): void => {
    for (const pid of [...this.#waiting.keys()]) this.#poll(pid)
  }

  constructor() {
    process.on('SIGCHLD', this.#onChild)
  }

  /** The exit of `pid`, which must be a child of this process by now, or soon. */
  wait(pid: number): Promise<ExitStatus> {
    return new Promise((resolve, reject) => {
      this.#waiting.set(pid, resolve)
      try {
        // The child may have ended before it was asked for; its signal then came too early.
        this.#poll(pid)
      } catch (error) {
        this.#waiting.delete(pid)
        reject(error as Error)
      }
    })
  }

  /** Those that are waited for: children that have not ended yet. */
  get pids(): number[] {
    return [...this.#waiting.keys()]
  }

  [Symbol.dispose](): void {
    process.off('SIGCHLD', this.#onChild)
    this.#waiting.clear()
  }

  #poll(pid: number): void {
    const word = new Uint8Array(8)
    // Safe: the kernel writes one int into the 8 bytes; WNOHANG, so the loop is not stopped.
    const result = libc.waitpid(pid, word, WNOHANG)
    if (result === 0) return
    if (result === -1 && errno() === constants.errno.EINTR) return
    check(result, 'waitpid', String(pid))
    const resolve = this.#waiting.get(pid)
    this.#waiting.delete(pid)
    resolve?.(exitStatus(new DataView(word.buffer).getInt32(0, true)))
  }
}
