import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import { TLSSocket } from 'node:tls'
import { concat } from '#lib/bytes'
import { DECISION_PROOF_HEADER, MAX_BODY } from '#protocol/kbs'
import type { Broker } from './broker.ts'
import { KbsError } from './kbs-error.ts'
import { toProblem } from './problem.ts'
import type { BrokerReply } from './request.ts'
import { metrics, route, splitPath } from './router.ts'

/** Options of `startServer`. */
export interface ServerOptions {
  /** `address:port`; port 0 takes a free one. */
  readonly listen: string
  /** Without it the server speaks plain HTTP; only for tests and behind a proxy. */
  readonly tls?: { readonly key: string; readonly certificate: string }
}

/** A running server. */
export interface RunningServer {
  /** Where it listens, with the real port. */
  readonly url: string
  /** Takes another certificate for new connections. */
  reload(tls: { readonly key: string; readonly certificate: string }): void
  /** Takes no new requests, lets those under way end (ten seconds at most), closes. */
  close(): Promise<void>
}

const DRAIN_MS = 10_000

// Bodies are held whole: this many of 2 MiB are the most memory that requests can take.
const MAX_IN_FLIGHT = 256

/** Starts to serve a broker. Throws KbsError KBS_PORT_TAKEN. */
export async function startServer(broker: Broker, options: ServerOptions): Promise<RunningServer> {
  let inFlight = 0
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    const busy = inFlight >= MAX_IN_FLIGHT
    inFlight++
    void serve(broker, request, response, busy).finally(() => inFlight--)
  }
  // Tokens of composite evidence are large; upstream's clients send them in a header.
  const limits = { maxHeaderSize: 262_144, headersTimeout: 20_000, requestTimeout: 60_000 }
  const server = options.tls
    ? createTlsServer({ ...limits, ...tlsOptions(options.tls), minVersion: 'TLSv1.2' }, handle)
    : createPlainServer(limits, handle)
  // Keep-alive outlasts the pauses of an agent between two requests.
  server.keepAliveTimeout = 30_000
  const url = await listen(server, options)
  return {
    url,
    reload(tls) {
      if (options.tls !== undefined) (server as TlsServer).setSecureContext(tlsOptions(tls))
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      const cut = setTimeout(() => server.closeAllConnections(), DRAIN_MS)
      await closed
      clearTimeout(cut)
    },
  }
}

async function listen(server: Server | TlsServer, options: ServerOptions): Promise<string> {
  const at = options.listen.lastIndexOf(':')
  const host = options.listen.slice(0, at).replace(/^\[|\]$/g, '')
  const port = Number(options.listen.slice(at + 1))
  if (at < 1 || !Number.isInteger(port) || port < 0 || port > 65_535) {
    throw new KbsError('KBS_PORT_TAKEN', `listening on ${options.listen}: it is not ADDRESS:PORT`)
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (cause) => {
      const why = (cause as NodeJS.ErrnoException).code ?? cause.message
      reject(new KbsError('KBS_PORT_TAKEN', `listening on ${options.listen}: ${why}`, { cause }))
    })
    server.listen(port, host, resolve)
  })
  const address = server.address()
  const real = typeof address === 'object' && address !== null ? address.port : port
  const shown = host.includes(':') ? `[${host}]` : host
  return `${options.tls === undefined ? 'http' : 'https'}://${shown}:${real}`
}

async function serve(
  broker: Broker,
  request: IncomingMessage,
  response: ServerResponse,
  busy: boolean,
): Promise<void> {
  try {
    if (busy) throw new KbsError('KBS_BUSY', 'taking a request: too many are under way')
    send(response, await answer(broker, request))
  } catch (error) {
    const { status, body } = toProblem(error, false)
    // What is left of the body is not read, so the connection cannot carry another request.
    response.setHeader('Connection', 'close')
    send(response, { status, type: 'application/json', body: JSON.stringify(body) })
  }
}

async function answer(broker: Broker, request: IncomingMessage): Promise<BrokerReply> {
  const url = new URL(request.url ?? '/', 'http://broker')
  if (request.method === 'GET' && url.pathname === '/healthz') return { status: 200, body: '' }
  if (request.method === 'GET' && url.pathname === '/metrics') {
    return { status: 200, type: 'text/plain; version=0.0.4', body: metrics(broker) }
  }
  return route(broker, {
    method: request.method ?? '',
    path: splitPath(url.pathname),
    query: url.searchParams,
    authorization: request.headers.authorization,
    cookie: request.headers.cookie,
    ifNoneMatch: request.headers['if-none-match'],
    proof: request.headersDistinct[DECISION_PROOF_HEADER]?.[0],
    body: await readBody(request),
    secure: request.socket instanceof TLSSocket,
  })
}

async function readBody(request: IncomingMessage): Promise<Uint8Array> {
  const tooLarge = (): KbsError =>
    new KbsError('KBS_BODY_TOO_LARGE', `reading a request: it has more than ${MAX_BODY} bytes`)
  // Refused by its own word where it gives one, before anything is read.
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY) throw tooLarge()
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Uint8Array>) {
    size += chunk.length
    if (size > MAX_BODY) throw tooLarge()
    chunks.push(chunk)
  }
  return concat(...chunks)
}

function send(response: ServerResponse, reply: BrokerReply): void {
  if (response.destroyed) return
  const body = typeof reply.body === 'string' ? Buffer.from(reply.body) : reply.body
  response.writeHead(reply.status, {
    ...(reply.type === undefined ? {} : { 'Content-Type': reply.type }),
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
    ...reply.headers,
  })
  response.end(body)
}

function tlsOptions(tls: { readonly key: string; readonly certificate: string }): {
  key: string
  cert: string
} {
  return { key: tls.key, cert: tls.certificate }
}
