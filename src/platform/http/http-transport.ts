import {
  type ClientRequest,
  Agent as HttpAgent,
  request as httpRequest,
  type IncomingMessage,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Duplex } from 'node:stream'
import { fromBase64 } from '#lib/bytes'
import { HttpError, type HttpRequest, type HttpResponse, type Transport } from '#lib/http'
import { type ConnectOptions, connect, type Trust } from './connect.ts'
import { toHttpError } from './failure.ts'
import { Patience } from './patience.ts'

/** Whom a transport trusts and how long it waits. At most one of `ca`, `pins`, `insecure`. */
export interface HttpTransportOptions {
  /** CA certificates, PEM. Exclusive: no other is trusted. Default: those of node. */
  readonly ca?: readonly string[]
  /**
   * `sha256/<base64 of SHA-256 of the SPKI>` of the server's own key. Exclusive: certificate,
   * name and dates do not count. A server with another key never gets a byte of a request.
   */
  readonly pins?: readonly string[]
  /** Take any certificate. */
  readonly insecure?: boolean
  /** Certificate and key of the client, PEM. */
  readonly client?: { readonly cert: string; readonly key: string }
  /**
   * A lower bound of the time, in milliseconds since 1970: certificates under `ca` that ended before it
   * are refused. For programs whose system clock is in the hands of somebody who could turn it back.
   */
  readonly notBefore?: () => number
  /** Refuse plain HTTP even where a URL says so; default false. */
  readonly tlsOnly?: boolean
  /** May this numeric address be used? Asked at connect time, after the name was resolved. */
  readonly allowAddress?: (address: string, redirected: boolean) => boolean
  /** Milliseconds until a connection must stand; default 30 000. */
  readonly connectTimeout?: number
  /** Milliseconds without any progress while an answer is awaited or read; default 120 000. */
  readonly idleTimeout?: number
  /**
   * Environment with `HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY` in either case. Not together
   * with `pins` or `allowAddress`, which a proxy would defeat.
   */
  readonly proxyEnv?: Readonly<Record<string, string | undefined>>
  /** A new stream to the server, in place of a TCP connection. Needs `tlsOnly`. */
  readonly through?: () => Duplex
}

/** A transport with connections to close. */
export interface HttpTransport extends Disposable {
  readonly send: Transport
}

const MAX_SOCKETS = 16

/**
 * The transport over node's HTTP client. Redirects, cookies, credentials and decompression
 * are none of its business. Throws TypeError on options that exclude each other.
 */
export function createHttpTransport(options: HttpTransportOptions = {}): HttpTransport {
  const trust = trustOf(options)
  const proxied = options.proxyEnv !== undefined
  if (proxied && (trust.kind === 'pins' || options.allowAddress !== undefined)) {
    throw new TypeError('a proxy cannot be combined with pins or address rules')
  }
  if (options.through !== undefined && (proxied || options.tlsOnly !== true)) {
    throw new TypeError('a stream in place of a connection carries TLS, and nothing else')
  }
  // Connections are pooled by kind: one that was allowed to a configured host must not serve
  // a redirect to the same name, whose address rules are stricter.
  const agents = new Map<string, HttpAgent | HttpsAgent>()
  const agentFor = (tls: boolean, redirected: boolean): HttpAgent | HttpsAgent => {
    const key = `${tls} ${redirected}`
    const known = agents.get(key)
    if (known !== undefined) return known
    const agent = proxied
      ? stockAgent(tls, trust, options)
      : ownAgent(tls, redirected, trust, options)
    agents.set(key, agent)
    return agent
  }
  const idle = options.idleTimeout ?? 120_000
  return {
    send: async (request) => {
      const tls = request.url.protocol === 'https:'
      if (!tls && (request.url.protocol !== 'http:' || options.tlsOnly === true)) {
        throw new HttpError('TLS_FAILED', `connecting to ${request.url.host}: TLS is required`)
      }
      const agent = agentFor(tls, request.redirected === true)
      return sendOnce(request, agent, idle, true)
    },
    [Symbol.dispose]: () => {
      for (const agent of agents.values()) agent.destroy()
    },
  }
}

function trustOf(options: HttpTransportOptions): Trust {
  const { ca, pins, insecure } = options
  if ([ca, pins, insecure || undefined].filter((way) => way !== undefined).length > 1) {
    throw new TypeError('at most one of ca, pins and insecure')
  }
  if (pins !== undefined) return { kind: 'pins', pins: pins.map(parsePin) }
  return insecure === true ? { kind: 'none' } : { kind: 'ca', ca }
}

function parsePin(pin: string): Uint8Array {
  if (!pin.startsWith('sha256/')) throw new TypeError('a pin has the form sha256/<base64>')
  return fromBase64(pin.slice('sha256/'.length), 'pin', 32)
}

function ownAgent(
  tls: boolean,
  redirected: boolean,
  trust: Trust,
  options: HttpTransportOptions,
): HttpAgent | HttpsAgent {
  const { allowAddress } = options
  const how: ConnectOptions = {
    trust,
    client: options.client,
    notBefore: options.notBefore,
    allowAddress:
      allowAddress === undefined ? undefined : (address) => allowAddress(address, redirected),
    timeout: options.connectTimeout ?? 30_000,
    through: options.through,
  }
  const agent = tls
    ? new HttpsAgent({ keepAlive: true, maxSockets: MAX_SOCKETS })
    : new HttpAgent({ keepAlive: true, maxSockets: MAX_SOCKETS })
  agent.createConnection = (target, callback) => {
    const peer = {
      host: target.hostname ?? target.host ?? '',
      port: Number(target.port ?? (tls ? 443 : 80)),
      tls,
    }
    const done = callback as (error: Error | null, socket?: Duplex) => void
    connect(peer, how).then((socket) => done(null, socket), done)
    return undefined
  }
  return agent
}

function stockAgent(
  tls: boolean,
  trust: Trust,
  options: HttpTransportOptions,
): HttpAgent | HttpsAgent {
  const common = {
    keepAlive: true,
    maxSockets: MAX_SOCKETS,
    ...(options.proxyEnv === undefined ? {} : { proxyEnv: { ...options.proxyEnv } }),
  }
  if (!tls) return new HttpAgent(common)
  return new HttpsAgent({
    ...common,
    minVersion: 'TLSv1.2',
    rejectUnauthorized: trust.kind === 'ca',
    ...(trust.kind === 'ca' && trust.ca !== undefined ? { ca: [...trust.ca] } : {}),
    ...(options.client ?? {}),
  })
}

async function sendOnce(
  request: HttpRequest,
  agent: HttpAgent | HttpsAgent,
  idle: number,
  again: boolean,
): Promise<HttpResponse> {
  request.signal?.throwIfAborted()
  const attempt = `asking ${request.url.host}`
  const { body } = request
  const send = request.url.protocol === 'https:' ? httpsRequest : httpRequest
  const outgoing = send(request.url, {
    method: request.method,
    agent,
    headers: {
      ...(body instanceof Uint8Array ? { 'content-length': String(body.length) } : {}),
      ...request.headers,
    },
  })
  const answered = Promise.withResolvers<IncomingMessage>()
  outgoing.once('response', answered.resolve).once('error', answered.reject)
  // Errors after the answer reach whoever reads the body; here they need a listener only.
  outgoing.on('error', () => {})
  const abort = (): void => void outgoing.destroy(request.signal?.reason)
  request.signal?.addEventListener('abort', abort, { once: true })
  const patience = new Patience(idle, () =>
    outgoing.destroy(new HttpError('NETWORK_TIMEOUT', `${attempt}: no progress in ${idle} ms`)),
  )
  let incoming: IncomingMessage
  try {
    patience.start()
    if (body === undefined || body instanceof Uint8Array) outgoing.end(body)
    else await sendStream(outgoing, body, answered.promise, patience)
    incoming = await answered.promise
    patience.stop()
  } catch (error) {
    patience.stop()
    request.signal?.removeEventListener('abort', abort)
    outgoing.destroy()
    request.signal?.throwIfAborted()
    if (error instanceof SourceError) throw error.cause
    // A kept connection that the server closed at the same moment: nothing was processed.
    const stale = outgoing.reusedSocket && (error as { code?: unknown }).code === 'ECONNRESET'
    if (stale && again && (body === undefined || body instanceof Uint8Array)) {
      return sendOnce(request, agent, idle, false)
    }
    throw toHttpError(error, attempt)
  }
  return {
    status: incoming.statusCode ?? 0,
    headers: collectHeaders(incoming),
    body: readBody(incoming, { request, patience, attempt, abort, outgoing }),
  }
}

/** What the source of a body threw; it is the caller's error, not the network's. */
class SourceError extends Error {}

async function sendStream(
  outgoing: ClientRequest,
  body: AsyncIterable<Uint8Array>,
  answer: Promise<unknown>,
  patience: Patience,
): Promise<void> {
  let over = false
  const settled = (): void => {
    over = true
  }
  const end = answer.then(settled, settled)
  const iterator = body[Symbol.asyncIterator]()
  try {
    while (!over) {
      // The source may take its time (it may encrypt); only the network must not.
      patience.stop()
      const next = await iterator.next().catch((cause: unknown) => {
        throw new SourceError('the source of the body failed', { cause })
      })
      patience.start()
      if (over) break
      if (next.done === true) {
        outgoing.end()
        return
      }
      if (!outgoing.write(next.value)) {
        const drained = Promise.withResolvers<void>()
        outgoing.once('drain', drained.resolve)
        await Promise.race([drained.promise, end])
        outgoing.off('drain', drained.resolve)
      }
    }
  } finally {
    patience.start()
    if (over) await iterator.return?.()
  }
}

interface Reading {
  readonly request: HttpRequest
  readonly patience: Patience
  readonly attempt: string
  readonly abort: () => void
  readonly outgoing: ClientRequest
}

function readBody(incoming: IncomingMessage, reading: Reading): AsyncIterable<Uint8Array> {
  const { request, patience, attempt, abort, outgoing } = reading
  const close = (): void => {
    patience.stop()
    request.signal?.removeEventListener('abort', abort)
    // An answer that came before the whole request was sent leaves the connection unusable.
    if (!outgoing.writableEnded) outgoing.destroy()
  }
  incoming.on('error', () => {})
  incoming.once('close', close)
  const chunks: AsyncIterator<Uint8Array> = incoming[Symbol.asyncIterator]()
  const iterator: AsyncIterator<Uint8Array, undefined> = {
    next: async () => {
      patience.start()
      try {
        const { value, done } = await chunks.next()
        if (done === true) {
          close()
          return { done: true, value: undefined }
        }
        return { done: false, value: new Uint8Array(value.buffer, value.byteOffset, value.length) }
      } catch (error) {
        close()
        request.signal?.throwIfAborted()
        throw toHttpError(outgoing.errored ?? error, attempt)
      } finally {
        patience.stop()
      }
    },
    return: async () => {
      close()
      incoming.destroy()
      return { done: true, value: undefined }
    },
  }
  return { [Symbol.asyncIterator]: () => iterator }
}

function collectHeaders(incoming: IncomingMessage): Record<string, readonly string[]> {
  const headers: Record<string, string[]> = Object.create(null)
  for (const [name, values] of Object.entries(incoming.headersDistinct)) {
    if (values !== undefined) headers[name] = values
  }
  return headers
}
