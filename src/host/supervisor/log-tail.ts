import type { LogEntry } from './log-file.ts'

/**
 * The entries of the last `count` lines. An entry is at most a line, and a line may have come in several,
 * from two streams in turn: a line belongs to its stream. Keeps no more than it gives.
 */
export function lastLines(entries: Iterable<LogEntry>, count: number): readonly LogEntry[] {
  if (count === 0) return []
  const lines: LogEntry[][] = []
  const unfinished = new Map<string, LogEntry[]>()
  for (const entry of entries) {
    let line = unfinished.get(entry.stream)
    if (line === undefined) {
      line = []
      lines.push(line)
      if (lines.length > count) lines.shift()
    }
    line.push(entry)
    if (entry.data.at(-1) === 10) unfinished.delete(entry.stream)
    else unfinished.set(entry.stream, line)
  }
  return lines.flat()
}
