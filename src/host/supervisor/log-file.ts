import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { object, oneOf, string } from '#lib/json'
import { jsonLines } from '#lib/json-lines'

/** Which output a line came from. */
export type OutputStream = 'stdout' | 'stderr'

/** One entry of a container's log: as much as arrived at once, at most a line. */
export interface LogEntry {
  readonly stream: OutputStream
  /** RFC 3339. */
  readonly time: string
  readonly data: Uint8Array
}

const MAX_ENTRY = 512 * 1024

/** Appends to a container's log, one JSON line an entry; data is base64, since output is bytes. */
export class LogWriter {
  readonly #fd: number
  #open = true

  constructor(file: string) {
    this.#fd = openSync(file, 'a', 0o600)
  }

  write(stream: OutputStream, data: Uint8Array, time: string): void {
    if (!this.#open) return
    for (const part of byLine(data)) {
      const entry = { stream, time, data: Buffer.from(part).toString('base64') }
      writeSync(this.#fd, `${JSON.stringify(entry)}\n`)
    }
  }

  close(): void {
    if (this.#open) closeSync(this.#fd)
    this.#open = false
  }
}

/** Reads a log from byte `start`; an unfinished last entry is left for the next reading. */
export async function* readLog(file: string, start = 0): AsyncGenerator<LogEntry> {
  for await (const value of jsonLines(createReadStream(file, { start }), MAX_ENTRY)) {
    const entry = object(value, 'log entry')
    yield {
      stream: oneOf(entry.stream, 'stream', ['stdout', 'stderr']),
      time: string(entry.time, 'time'),
      data: Buffer.from(string(entry.data, 'data'), 'base64'),
    }
  }
}

function* byLine(data: Uint8Array): Generator<Uint8Array> {
  const step = 64 * 1024
  for (let at = 0; at < data.length; ) {
    const newline = data.indexOf(10, at)
    const end = Math.min(newline === -1 ? data.length : newline + 1, at + step)
    yield data.subarray(at, end)
    at = end
  }
}
