import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { fromUtf8 } from '#lib/bytes'
import { base64, object, oneOf, parseJson, string } from '#lib/json'
import { jsonLine } from '#lib/json-lines'
import { before, TwoFiles } from './two-files.ts'

/** Which output a line came from. */
export type OutputStream = 'stdout' | 'stderr'

/** One entry of a container's log: as much as arrived at once, at most a line. */
export interface LogEntry {
  readonly stream: OutputStream
  /** RFC 3339. */
  readonly time: string
  readonly data: Uint8Array
}

const MAX_DATA = 64 * 1024
// Base64 of that, and the members around it.
const MAX_ENTRY = 96 * 1024
const PIECE = 256 * 1024

/** Size at which a log begins anew, in bytes; the one before it is kept, older ones are dropped. */
export const LOG_LIMIT: number = 64 * 1024 * 1024

/**
 * Appends to a container's log, one JSON line an entry; data is base64, since output is bytes. Two files
 * of `limit` bytes hold what was written last: a container must not fill the disk of its host.
 */
export class LogWriter implements Disposable {
  readonly #files: TwoFiles

  constructor(file: string, limit: number = LOG_LIMIT) {
    this.#files = new TwoFiles(file, limit)
  }

  /**
   * Writes what a container wrote. What a full disk does not take is left out: a log must not end the
   * container it is of. An entry is in the file whole or not at all.
   */
  write(stream: OutputStream, data: Uint8Array, time: string): void {
    for (const part of byLine(data)) {
      const entry = { stream, time, data: Buffer.from(part).toString('base64') }
      if (!this.#files.append(jsonLine(entry))) return
    }
  }

  [Symbol.dispose](): void {
    this.#files[Symbol.dispose]()
  }
}

/**
 * Reads a log that may still grow, begin anew, and be deleted meanwhile. An unfinished last entry is
 * left for the next reading; what is no entry is skipped.
 */
export class LogReader implements Disposable {
  readonly #file: string
  #fd: number
  /** The file that is read after `#fd`, where there are two from the start. */
  #next: number | undefined
  #at = 0
  #rest: Uint8Array = new Uint8Array(0)

  /** Throws an ENOENT error if there is no log. */
  constructor(file: string) {
    this.#file = file
    this.#fd = openSync(file, 'r')
    const older = openIfThere(before(file))
    if (older === undefined) return
    // Opened in this order, so that none is missed; it may have become the one before in between.
    if (inode(older) === inode(this.#fd)) closeSync(older)
    else [this.#fd, this.#next] = [older, this.#fd]
  }

  /** The entries that are there and were not given before. */
  *entries(): Generator<LogEntry> {
    for (;;) {
      yield* this.#restOfFile()
      const next = this.#next ?? this.#newer()
      if (next === undefined) return
      // what came between the last reading and the change
      yield* this.#restOfFile()
      closeSync(this.#fd)
      ;[this.#fd, this.#next, this.#at] = [next, undefined, 0]
      this.#rest = new Uint8Array(0)
    }
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
    if (this.#next !== undefined) closeSync(this.#next)
  }

  *#restOfFile(): Generator<LogEntry> {
    const piece = Buffer.allocUnsafe(PIECE)
    for (;;) {
      const count = readSync(this.#fd, piece, 0, PIECE, this.#at)
      if (count === 0) return
      this.#at += count
      let bytes = Buffer.concat([this.#rest, piece.subarray(0, count)])
      const found: LogEntry[] = []
      for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
        const entry = parseEntry(bytes.subarray(0, end))
        if (entry !== undefined) found.push(entry)
        bytes = bytes.subarray(end + 1)
      }
      // No entry is that long: what is torn must not be kept for ever.
      this.#rest = bytes.length > MAX_ENTRY ? new Uint8Array(0) : bytes
      yield* found
    }
  }

  #newer(): number | undefined {
    const fd = openIfThere(this.#file)
    if (fd === undefined || inode(fd) !== inode(this.#fd)) return fd
    closeSync(fd)
    return undefined
  }
}

function inode(fd: number): bigint {
  return fstatSync(fd, { bigint: true }).ino
}

function openIfThere(file: string): number | undefined {
  try {
    return openSync(file, 'r')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function parseEntry(line: Uint8Array): LogEntry | undefined {
  try {
    const entry = object(parseJson(fromUtf8(line, 'log'), { maxBytes: MAX_ENTRY }), 'log entry')
    return {
      stream: oneOf(entry.stream, 'stream', ['stdout', 'stderr']),
      time: string(entry.time, 'time'),
      data: base64(entry.data, 'data'),
    }
  } catch {
    return undefined
  }
}

function* byLine(data: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < data.length; ) {
    const newline = data.indexOf(10, at)
    const end = Math.min(newline === -1 ? data.length : newline + 1, at + MAX_DATA)
    yield data.subarray(at, end)
    at = end
  }
}
