import { watch } from 'node:fs'
import { join } from 'node:path'
import type { Command, CommandContext } from '#lib/command'
import { isCoded } from '#lib/errors'
import { type LogEntry, LogReader } from '../log-file.ts'
import { lastLines } from '../log-tail.ts'
import { ContainerStore } from '../store.ts'
import { sinceTime, tailCount } from './log-options.ts'

const POLL_MS = 500

/** `logs`: what a container wrote. */
export const logs: Command = {
  path: ['logs'],
  summary: 'Show what a container wrote',
  operands: '<id>',
  options: [
    { flags: '-f, --follow', help: 'go on until the container ends' },
    { flags: '--tail <n>', help: 'only the last N lines' },
    { flags: '--since <t>', help: 'only after a time (RFC 3339, or 10s, 5m, 2h, 1d ago)' },
    { flags: '-t, --timestamps', help: 'begin each line with its time' },
  ],
  example: 'enclave-cc logs -f db',
  run: async (context, input) => {
    const tail = tailCount(input.text('tail'))
    const since = sinceTime(input.text('since'), Date.now())
    const store = new ContainerStore(context.places)
    const id = store.resolve(input.operands[0] ?? '')
    const print = printer(context, input.flag('timestamps'))
    let reader = openLog(store, id)
    if (reader === undefined && !input.flag('follow')) return {}
    try {
      if (reader !== undefined) {
        const entries = newer(reader.entries(), since)
        for (const entry of tail === undefined ? entries : lastLines(entries, tail)) print(entry)
      }
      while (input.flag('follow') && !context.signal.aborted) {
        // asked before reading: what a container wrote before it ended is there by then
        const alive = isAlive(store, id)
        reader ??= openLog(store, id)
        for (const entry of reader?.entries() ?? []) print(entry)
        if (!alive) break
        await changed(store.folder(id), context.signal)
      }
    } finally {
      reader?.[Symbol.dispose]()
    }
    context.signal.throwIfAborted()
    return {}
  },
}

// It stays open, so a container that is removed at its end can still be read to its end.
function openLog(store: ContainerStore, id: string): LogReader | undefined {
  try {
    return new LogReader(join(store.folder(id), 'log.jsonl'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function isAlive(store: ContainerStore, id: string): boolean {
  try {
    return store.read(id).state !== 'exited'
  } catch (error) {
    if (isCoded(error)) return false
    throw error
  }
}

function* newer(entries: Iterable<LogEntry>, since: number): Generator<LogEntry> {
  for (const entry of entries) if (Date.parse(entry.time) >= since) yield entry
}

function printer(context: CommandContext, timestamps: boolean): (entry: LogEntry) => void {
  if (context.json) return (entry) => context.stdout(`${JSON.stringify(jsonEntry(entry))}\n`)
  return (entry) => {
    const data = timestamps
      ? Buffer.concat([Buffer.from(`${entry.time} `), entry.data])
      : entry.data
    if (entry.stream === 'stdout') context.stdout(data)
    else process.stderr.write(data)
  }
}

// Output is bytes: as text where it is UTF-8, else as base64.
function jsonEntry({ stream, time, data }: LogEntry): Record<string, string> {
  const bytes = Buffer.from(data)
  const text = bytes.toString('utf8')
  if (Buffer.from(text).equals(bytes)) return { time, stream, text }
  return { time, stream, data: bytes.toString('base64') }
}

// inotify tells at once; the timer covers filesystems where it does not, and a folder that is gone
async function changed(folder: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>()
  const timer = setTimeout(resolve, POLL_MS)
  const onAbort = (): void => resolve()
  signal.addEventListener('abort', onAbort, { once: true })
  let watcher: ReturnType<typeof watch> | undefined
  try {
    watcher = watch(folder, () => resolve()).on('error', () => resolve())
  } catch {
    // the timer will do
  }
  await promise
  clearTimeout(timer)
  signal.removeEventListener('abort', onAbort)
  watcher?.close()
}
