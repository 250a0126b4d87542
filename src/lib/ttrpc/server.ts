import type { Duplex } from 'node:stream'
import { writeFrame } from './connection.ts'
import { type KeyValue, type Request, request, response, type Status } from './envelope.ts'
import { FRAME_REQUEST, FRAME_RESPONSE, type Frame, FrameDecoder, MAX_BODY } from './frame.ts'
import { STATUS, StatusError } from './status.ts'

/** What a handler learns of its call beside the payload. */
export interface CallContext {
  /** Aborts when the caller's time is over or the connection has ended. */
  readonly signal: AbortSignal
  readonly metadata: readonly KeyValue[]
}

/** One method: payload in, payload out. What it throws becomes a status. */
export type Handler = (payload: Uint8Array, context: CallContext) => Promise<Uint8Array>

/** Methods by service and name, as `Map` so that no name of the wire meets a prototype. */
export type Handlers = ReadonlyMap<string, ReadonlyMap<string, Handler>>

/** Options of `serveTtrpc`. */
export interface ServeOptions {
  readonly handlers: Handlers
  /** Turns what a handler threw into a status. `StatusError` is answered as it is. */
  readonly toStatus?: (error: unknown) => Status
  /** Calls at work at the same time on this connection; further ones are refused. */
  readonly maxConcurrent?: number
}

const MAX_CONCURRENT = 256
/** `setTimeout` cannot count further (about 24 days); a longer limit is no limit. */
const MAX_TIMEOUT_MS = 0x7fffffff

/**
 * Answers calls on one connected stream until it ends or `signal` aborts. Handlers run
 * concurrently and answer in any order. Resolves when the connection has ended, whoever ended it.
 */
export async function serveTtrpc(
  stream: Duplex,
  options: ServeOptions & { readonly signal?: AbortSignal },
): Promise<void> {
  const connection = new ServerConnection(stream, options)
  const stop = () => stream.destroy()
  if (options.signal?.aborted) stop()
  options.signal?.addEventListener('abort', stop, { once: true })
  try {
    await connection.run()
  } finally {
    options.signal?.removeEventListener('abort', stop)
  }
}

class ServerConnection {
  readonly #stream: Duplex
  readonly #options: ServeOptions
  readonly #ended = new AbortController()
  #active = 0

  constructor(stream: Duplex, options: ServeOptions) {
    this.#stream = stream
    this.#options = options
    stream.on('error', () => undefined)
  }

  async run(): Promise<void> {
    const decoder = new FrameDecoder()
    try {
      for await (const chunk of this.#stream) {
        for (const frame of decoder.push(chunk)) void this.#accept(frame)
      }
    } catch {
      // A reset connection ends like a closed one: there is nobody left to tell.
    } finally {
      this.#ended.abort(new Error('the connection has ended'))
      this.#stream.destroy()
    }
  }

  async #accept(frame: Frame): Promise<void> {
    // Types that we do not know are ignored, as the protocol asks.
    if (frame.type !== FRAME_REQUEST) return
    const answer = await this.#answer(frame)
    try {
      await writeFrame(this.#stream, FRAME_RESPONSE, frame.streamId, encodeAnswer(answer))
    } catch {
      // The caller has gone.
    }
  }

  async #answer(frame: Frame): Promise<Uint8Array | Status> {
    if (frame.oversize) {
      return refusal(STATUS.RESOURCE_EXHAUSTED, 'the request is above 4 MiB')
    }
    if (frame.streamId % 2 !== 1) {
      return refusal(STATUS.INVALID_ARGUMENT, `stream id ${frame.streamId} is not odd`)
    }
    if (this.#active >= (this.#options.maxConcurrent ?? MAX_CONCURRENT)) {
      return refusal(STATUS.RESOURCE_EXHAUSTED, 'too many calls are open on this connection')
    }
    this.#active++
    try {
      return await this.#dispatch(frame)
    } finally {
      this.#active--
    }
  }

  async #dispatch(frame: Frame): Promise<Uint8Array | Status> {
    let call: Request
    try {
      call = request.decode(frame.body)
    } catch (cause) {
      return refusal(STATUS.INVALID_ARGUMENT, `the request does not parse: ${textOf(cause)}`)
    }
    const service = this.#options.handlers.get(call.service)
    if (service === undefined) return refusal(STATUS.UNIMPLEMENTED, `service ${call.service}`)
    const handler = service.get(call.method)
    if (handler === undefined) return refusal(STATUS.UNIMPLEMENTED, `method ${call.method}`)
    using deadline = deadlineOf(call, this.#ended.signal)
    try {
      return await handler(call.payload, { signal: deadline.signal, metadata: call.metadata })
    } catch (error) {
      if (error instanceof StatusError) return error.status
      const { toStatus = unknownStatus } = this.#options
      return toStatus(error)
    }
  }
}

function deadlineOf(
  call: Request,
  ended: AbortSignal,
): Disposable & { readonly signal: AbortSignal } {
  const milliseconds = Number(call.timeoutNano / 1_000_000n)
  if (call.timeoutNano <= 0n || milliseconds > MAX_TIMEOUT_MS) {
    return { signal: ended, [Symbol.dispose]: () => undefined }
  }
  const controller = new AbortController()
  const timer = setTimeout(
    () => controller.abort(new Error('the time of the caller is over')),
    milliseconds,
  )
  return {
    signal: AbortSignal.any([ended, controller.signal]),
    [Symbol.dispose]: () => clearTimeout(timer),
  }
}

function encodeAnswer(answer: Uint8Array | Status): Uint8Array {
  const encoded =
    answer instanceof Uint8Array
      ? response.encode({ status: undefined, payload: answer })
      : response.encode({ status: answer, payload: new Uint8Array(0) })
  // An answer that no frame can carry must still be one: the caller would wait for ever.
  return encoded.length <= MAX_BODY
    ? encoded
    : encodeAnswer(refusal(STATUS.RESOURCE_EXHAUSTED, 'the answer is above 4 MiB'))
}

function refusal(code: number, message: string): Status {
  return { code, message, details: [] }
}

function unknownStatus(error: unknown): Status {
  return refusal(STATUS.UNKNOWN, textOf(error))
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
