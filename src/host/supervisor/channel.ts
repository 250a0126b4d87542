import { Socket } from 'node:net'
import type { JsonValue } from '#lib/json'
import { jsonLine, jsonLines } from '#lib/json-lines'
import type { JobEvent } from './job.ts'

const MAX_LINE = 4 * 1024 * 1024

/** The supervisor's end of its job channel. Whoever started it may go away at any time. */
export class JobChannel {
  readonly #socket: Socket
  readonly #lines: AsyncGenerator<JsonValue>

  /** Of a connection whose `lines` were read from before. */
  constructor(socket: Socket, lines: AsyncGenerator<JsonValue> = channelLines(socket)) {
    this.#socket = socket
    this.#socket.on('error', () => {})
    this.#lines = lines
  }

  /** Of an inherited descriptor. */
  static ofDescriptor(fd: number): JobChannel {
    return new JobChannel(new Socket({ fd, readable: true, writable: true }))
  }

  /** The next line, or undefined when the command is gone. */
  async next(): Promise<JsonValue | undefined> {
    try {
      const { value, done } = await this.#lines.next()
      return done === true ? undefined : value
    } catch {
      return undefined
    }
  }

  /** Sends an event; resolves when the kernel took it, so that output has back-pressure. */
  async send(event: JobEvent): Promise<void> {
    if (this.#socket.destroyed || !this.#socket.writable) return
    await new Promise<void>((resolve) => this.#socket.write(jsonLine(event), () => resolve()))
  }

  close(): void {
    this.#socket.end()
    this.#socket.unref()
  }
}

/** Lines of a job channel, either way. Throws FormatError on one over 4 MiB. */
export function channelLines(source: AsyncIterable<Uint8Array>): AsyncGenerator<JsonValue> {
  return jsonLines(source, MAX_LINE)
}
