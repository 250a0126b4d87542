import { readdirSync, readFileSync } from 'node:fs'

/** Pids of the processes whose parent this one is, those that it adopted included. */
export function childrenOf(parent: number): number[] {
  return readdirSync('/proc').flatMap((name) => {
    if (!/^[1-9]\d*$/.test(name)) return []
    // `pid (name) state ppid …`; the name may hold anything, the last parenthesis ends it.
    const [, ppid] = stat(name)
      .replace(/^.*\) /s, '')
      .split(' ')
    return Number(ppid) === parent ? [Number(name)] : []
  })
}

/**
 * Kills every child of this process. For its end: what it started, and what that left behind, must not
 * outlive it. A pid cannot have become another's, since children stay until they are waited for.
 */
export function killChildren(): void {
  for (const pid of childrenOf(process.pid)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // Ended, and waited for, in between.
    }
  }
}

function stat(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return ''
  }
}
