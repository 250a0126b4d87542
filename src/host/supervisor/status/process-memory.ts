import { readFileSync } from 'node:fs'

/** A process of ours and what it costs. */
export interface ProcessMemory {
  readonly name: 'supervisor' | 'agent' | 'init'
  readonly pid: number
  /**
   * Proportional set size: a page that n processes share counts as 1/n, so that sums are what the machine
   * spends. Bytes; 0 where the process has ended.
   */
  readonly pss: number
}

/** The memory of a process. */
export function processMemory(name: ProcessMemory['name'], pid: number): ProcessMemory {
  return { name, pid, pss: pid === 0 ? 0 : pssOf(pid) }
}

/** Sum over processes in bytes. */
export function sumOf(processes: readonly ProcessMemory[]): number {
  return processes.reduce((total, { pss }) => total + pss, 0)
}

function pssOf(pid: number): number {
  try {
    const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')
    return Number(/^Pss:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024
  } catch {
    return 0
  }
}
