import { readdirSync, readFileSync } from 'node:fs'

// Tries and milliseconds between them: what a killed process needs to end, and not for ever.
const ROUNDS = 100
const PAUSE = 2

/** Pids of the processes whose parent is `parent` and that have not ended. */
export function livingChildren(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^[1-9]\d*$/.test(name)) return []
    // `pid (name) state ppid …`; the name may hold anything, the last parenthesis ends it.
    const [state, ppid] = stat(name)
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(ppid) === parent && state !== 'Z' ? [Number(name)] : []
  })
}

/**
 * Kills every child of this process, and as a subreaper those that it adopts by it. For its end: what
 * it started, and what that left behind, must not outlive it. Blocks for up to 0.2 s. No pid can have
 * become another's: children stay until they are waited for. Those of `except` are left alone.
 */
export function killChildren(except: ReadonlySet<number> = new Set()): void {
  for (let round = 0; round < ROUNDS; round += 1) {
    const pids = livingChildren(process.pid).filter((pid) => !except.has(pid))
    if (pids.length === 0) return
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // Ended, and waited for, in between.
      }
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, PAUSE)
  }
}

function stat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return ''
  }
}
