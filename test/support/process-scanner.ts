import {
  closeSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  readSync,
} from 'node:fs'

const PIECE = 4 * 1024 * 1024

/** Where in a process a text was found. */
export interface ProcessFinding {
  readonly pid: number
  /** A memory region, `environ`, `cmdline`, or what a descriptor leads to. */
  readonly where: string
}

/**
 * Looks through what root of the node can see of a process: its memory, its environment and command line,
 * and the files that it holds, removed ones and memfds too.
 */
export function scanProcess(
  pid: number,
  needles: readonly Uint8Array[],
): readonly ProcessFinding[] {
  return [
    ...scanMemory(pid, needles),
    ...['environ', 'cmdline'].flatMap((name) =>
      holds(readFileSync(`/proc/${pid}/${name}`), needles) ? [{ pid, where: name }] : [],
    ),
    ...scanDescriptors(pid, needles),
  ]
}

function holds(bytes: Buffer, needles: readonly Uint8Array[]): boolean {
  return needles.some((needle) => bytes.includes(needle))
}

/** Every readable region of a process's memory. */
function scanMemory(pid: number, needles: readonly Uint8Array[]): readonly ProcessFinding[] {
  const fd = openSync(`/proc/${pid}/mem`, 'r')
  try {
    return readFileSync(`/proc/${pid}/maps`, 'utf8')
      .split('\n')
      .filter((line) => /^\S+ r/.test(line) && !/\[(vvar|vsyscall|vvar_vclock)\]/.test(line))
      .flatMap((line) => {
        const [from = 0n, to = 0n] = (line.split(' ')[0] ?? '')
          .split('-')
          .map((hex) => BigInt(`0x${hex}`))
        return contains(fd, from, to, needles) ? [{ pid, where: line }] : []
      })
  } finally {
    closeSync(fd)
  }
}

function contains(fd: number, from: bigint, to: bigint, needles: readonly Uint8Array[]): boolean {
  const longest = Math.max(...needles.map(({ length }) => length))
  const buffer = Buffer.allocUnsafe(PIECE + longest)
  let kept = 0
  for (let at = from; at < to; ) {
    const length = Number(to - at < BigInt(PIECE) ? to - at : BigInt(PIECE))
    let count: number
    try {
      count = readSync(fd, buffer, kept, length, at)
    } catch {
      // a page of a device, or one that is gone
      return false
    }
    if (count === 0) return false
    const filled = kept + count
    if (holds(buffer.subarray(0, filled), needles)) return true
    // a text may lie across two pieces
    kept = Math.min(longest - 1, filled)
    buffer.copy(buffer, 0, filled - kept, filled)
    at += BigInt(count)
  }
  return false
}

/** Regular files, removed ones and memfds that a process holds open. */
function scanDescriptors(pid: number, needles: readonly Uint8Array[]): readonly ProcessFinding[] {
  return readdirSync(`/proc/${pid}/fd`).flatMap((name) => {
    const path = `/proc/${pid}/fd/${name}`
    try {
      const where = readlinkSync(path)
      // What has a name on a disk is found there; a pipe or a device would be read away.
      if (!/\(deleted\)$|^\/memfd:/.test(where)) return []
      const fd = openSync(path, 'r')
      try {
        if (!fstatSync(fd).isFile()) return []
        return holds(readFileSync(fd), needles) ? [{ pid, where }] : []
      } finally {
        closeSync(fd)
      }
    } catch {
      // closed in between
      return []
    }
  })
}
