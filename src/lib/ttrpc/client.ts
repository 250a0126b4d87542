import type { Duplex } from 'node:stream'
import { writeFrame } from './connection.ts'
import { type KeyValue, request, response } from './envelope.ts'
import { FRAME_REQUEST, FRAME_RESPONSE, type Frame, FrameDecoder } from './frame.ts'
import { STATUS, TtrpcError } from './status.ts'

/** Options of one call. */
export interface CallOptions {
  /** Gives the call up; ttrpc has no cancel frame, so a late answer is dropped. */
  readonly signal?: AbortSignal
  /** Time limit in milliseconds; also told to the server. None means no limit. */
  readonly timeoutMs?: number
  readonly metadata?: readonly KeyValue[]
}

/** One side of a connection that makes calls. */
export interface TtrpcClient extends AsyncDisposable {
  /** The answer's payload. Throws `TtrpcError`. */
  call(
    service: string,
    method: string,
    payload: Uint8Array,
    options?: CallOptions,
  ): Promise<Uint8Array>
  /** Settles, never rejects, when the connection has ended. */
  readonly closed: Promise<void>
  /** Ends the connection; calls still open fail with `TTRPC_CLOSED`. */
  close(): void
}

interface Pending {
  readonly label: string
  readonly resolve: (payload: Uint8Array) => void
  readonly reject: (error: TtrpcError) => void
}

/** Stream ids are odd and only grow; a connection ends before they wrap. */
const MAX_STREAM_ID = 0xffffffff

/** A ttrpc client over a connected stream, which it owns from now on. */
export function createTtrpcClient(stream: Duplex): TtrpcClient {
  return new Client(stream)
}

class Client implements TtrpcClient {
  readonly closed: Promise<void>
  readonly #stream: Duplex
  readonly #pending = new Map<number, Pending>()
  #nextId = 1
  #ended: TtrpcError | undefined

  constructor(stream: Duplex) {
    this.#stream = stream
    // Writes report through their callbacks; without a listener a reset would end the process.
    stream.on('error', () => undefined)
    this.closed = this.#receive()
  }

  async call(
    service: string,
    method: string,
    payload: Uint8Array,
    options: CallOptions = {},
  ): Promise<Uint8Array> {
    const label = `${service}/${method}`
    if (this.#ended !== undefined) throw this.#ended
    const streamId = this.#nextId
    if (streamId > MAX_STREAM_ID) throw closedError(`calling ${label}: stream ids are used up`)
    this.#nextId += 2
    const body = request.encode({
      service,
      method,
      payload,
      timeoutNano: BigInt(Math.ceil(options.timeoutMs ?? 0)) * 1_000_000n,
      metadata: options.metadata ?? [],
    })
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>()
    using _watch = watch(label, options, reject)
    this.#pending.set(streamId, { label, resolve, reject })
    try {
      // The answer may come before the write is confirmed, and a failed write also ends `promise`.
      const written = writeFrame(this.#stream, FRAME_REQUEST, streamId, body).catch((cause) =>
        reject(closedError(`calling ${label}: the connection is closed`, cause)),
      )
      const answer = await promise
      await written
      return answer
    } finally {
      this.#pending.delete(streamId)
    }
  }

  close(): void {
    this.#fail(closedError('the connection was closed by this side'))
    this.#stream.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.closed
  }

  async #receive(): Promise<void> {
    const decoder = new FrameDecoder()
    let reason = closedError('the peer closed the connection')
    try {
      for await (const chunk of this.#stream) {
        for (const frame of decoder.push(chunk)) this.#accept(frame)
      }
    } catch (cause) {
      reason =
        cause instanceof TtrpcError ? cause : closedError('the connection was interrupted', cause)
    }
    this.#fail(reason)
    this.#stream.destroy()
  }

  #accept(frame: Frame): void {
    const pending = this.#pending.get(frame.streamId)
    // Unknown types are for later protocol versions, unknown ids for calls given up: both are dropped.
    if (frame.type !== FRAME_RESPONSE || pending === undefined) return
    this.#pending.delete(frame.streamId)
    if (frame.oversize) {
      pending.reject(protocolError(`calling ${pending.label}: the answer is above 4 MiB`))
      return
    }
    try {
      const answer = response.decode(frame.body)
      if (answer.status === undefined || answer.status.code === STATUS.OK) {
        pending.resolve(answer.payload)
        return
      }
      const { code, message, details } = answer.status
      pending.reject(new TtrpcError('TTRPC_STATUS', message, code, { statusDetails: [...details] }))
    } catch (cause) {
      pending.reject(protocolError(`calling ${pending.label}: the answer does not parse`, cause))
    }
  }

  #fail(error: TtrpcError): void {
    this.#ended ??= error
    for (const pending of this.#pending.values()) {
      pending.reject(closedError(`calling ${pending.label}: ${error.message}`, error))
    }
    this.#pending.clear()
  }
}

function watch(
  label: string,
  options: CallOptions,
  reject: (error: TtrpcError) => void,
): Disposable {
  const { signal, timeoutMs } = options
  const cancel = () =>
    reject(
      new TtrpcError('TTRPC_CANCELLED', `calling ${label}: given up`, STATUS.CANCELLED, {
        cause: signal?.reason,
      }),
    )
  const timer =
    timeoutMs === undefined
      ? undefined
      : setTimeout(
          () =>
            reject(
              new TtrpcError(
                'TTRPC_TIMEOUT',
                `calling ${label}: no answer within ${timeoutMs} ms`,
                STATUS.DEADLINE_EXCEEDED,
              ),
            ),
          timeoutMs,
        )
  if (signal?.aborted) cancel()
  else signal?.addEventListener('abort', cancel, { once: true })
  return {
    [Symbol.dispose]() {
      clearTimeout(timer)
      signal?.removeEventListener('abort', cancel)
    },
  }
}

function closedError(message: string, cause?: unknown): TtrpcError {
  return new TtrpcError('TTRPC_CLOSED', message, STATUS.UNAVAILABLE, { cause })
}

function protocolError(message: string, cause?: unknown): TtrpcError {
  return new TtrpcError('TTRPC_PROTOCOL', message, STATUS.UNKNOWN, { cause })
}
