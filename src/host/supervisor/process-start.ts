import { readFileSync } from 'node:fs'

/**
 * Start time of a process in clock ticks since boot, as text; undefined if it does not run (a zombie
 * does not). Together with the pid it names one process for good.
 */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // the name in parentheses may hold anything; fields are counted after its end
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
