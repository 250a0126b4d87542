import { existsSync, statSync, watch } from 'node:fs'
import { join } from 'node:path'
import type { Command, CommandContext } from '#lib/command'
import { CodedError } from '#lib/errors'
import { type LogEntry, readLog } from '../log-file.ts'
import { ContainerStore } from '../store.ts'

const POLL_MS = 500

/** `logs`: what a container wrote. */
export const logs: Command = {
  path: ['logs'],
  summary: 'Show what a container wrote',
  operands: '<id>',
  options: [
    { flags: '-f, --follow', help: 'go on until the container ends' },
    { flags: '--tail <n>', help: 'only the last N lines' },
    { flags: '--since <t>', help: 'only after a time (RFC 3339, or 10s, 5m, 2h ago)' },
    { flags: '-t, --timestamps', help: 'begin each line with its time' },
  ],
  example: 'enclave-cc logs -f db',
  run: async (context, input) => {
    const store = new ContainerStore(context.places)
    const { id } = store.find(input.operands[0] ?? '')
    const file = join(store.folder(id), 'log.jsonl')
    const since = sinceTime(input.text('since'), Date.now())
    const print = printer(context, input.flag('timestamps'))
    // how much of the log has been taken; measured before reading, so nothing written later is lost
    let size = existsSync(file) ? statSync(file).size : 0
    const entries: LogEntry[] = []
    if (size > 0) {
      for await (const entry of readLog(file)) {
        if (Date.parse(entry.time) >= since) entries.push(entry)
      }
      size = statSync(file).size
    }
    for (const entry of lastLines(entries, tailCount(input.text('tail')))) print(entry)
    while (input.flag('follow') && !context.signal.aborted) {
      const alive = existsSync(store.folder(id)) && store.read(id).state !== 'exited'
      if (existsSync(file) && statSync(file).size > size) {
        const from = size
        size = statSync(file).size
        for await (const entry of readLog(file, from)) print(entry)
        continue
      }
      if (!alive) break
      await changed(store.folder(id), context.signal)
    }
    return { exitCode: 0 }
  },
}

function printer(context: CommandContext, timestamps: boolean): (entry: LogEntry) => void {
  return (entry) => {
    const data = timestamps
      ? Buffer.concat([Buffer.from(`${entry.time} `), entry.data])
      : entry.data
    if (entry.stream === 'stdout' || context.json) context.stdout(data)
    else process.stderr.write(data)
  }
}

// Entries are at most a line each; a line may have come in several.
function lastLines(entries: readonly LogEntry[], count: number): readonly LogEntry[] {
  if (count === Number.POSITIVE_INFINITY) return entries
  let lines = 0
  let at = entries.length
  for (; at > 0; at--) {
    if (entries[at - 1]?.data.at(-1) === 10 || at === entries.length) lines++
    if (lines > count) break
  }
  return entries.slice(at)
}

function tailCount(text: string | undefined): number {
  if (text === undefined || text === 'all') return Number.POSITIVE_INFINITY
  if (!/^\d{1,9}$/.test(text)) throw new CodedError('USAGE', `--tail ${text}: a number of lines`)
  return Number(text)
}

function sinceTime(text: string | undefined, now: number): number {
  if (text === undefined) return 0
  const [, count, unit] = /^(\d+)([smh])$/.exec(text) ?? []
  if (count !== undefined) return now - Number(count) * { s: 1, m: 60, h: 3600 }[unit as 's'] * 1000
  const time = Date.parse(text)
  if (Number.isNaN(time)) throw new CodedError('USAGE', `--since ${text}: not a time`)
  return time
}

// inotify tells at once; the timer covers filesystems where it does not
async function changed(folder: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const watcher = watch(folder, () => resolve()).on('error', () => resolve())
  const timer = setTimeout(resolve, POLL_MS)
  signal.addEventListener('abort', () => resolve(), { once: true })
  await promise
  clearTimeout(timer)
  watcher.close()
}
