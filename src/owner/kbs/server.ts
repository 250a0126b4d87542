import {
  createServer as createPlainServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import { createServer as createTlsServer, type Server as TlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { DECISION_PROOF_HEADER } from '#protocol/kbs'
import { BodyRoom } from './body-room.ts'
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
const MAX_CONNECTIONS = 4096
const MAX_IN_FLIGHT = 256

const LIMITS = {
  // Tokens of composite evidence are large; upstream's clients send them in a header.
  maxHeaderSize: 262_144,
  headersTimeout: 20_000,
  requestTimeout: 30_000,
}

/** Starts to serve a broker. Throws KbsError KBS_PORT_TAKEN. */
export async function startServer(broker: Broker, options: ServerOptions): Promise<RunningServer> {
  const door: Door = { broker, room: new BodyRoom(), inFlight: 0, answering: new Set() }
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    door.answering.add(response)
    response.once('close', () => {
      door.answering.delete(response)
      if (door.answering.size === 0) door.quiet?.()
    })
    void serve(door, request, response)
  }
  const server = options.tls
    ? createTlsServer({ ...LIMITS, ...tlsOptions(options.tls), ...HANDSHAKE }, handle)
    : createPlainServer(LIMITS, handle)
  // Keep-alive outlasts the pauses of an agent between two requests.
  server.keepAliveTimeout = 30_000
  server.maxConnections = MAX_CONNECTIONS
  // Node closes only connections on which HTTP has begun; one that never says hello would keep
  // a broker alive that was told to stop.
  const sockets = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const url = await listen(server, options)
  return {
    url,
    reload(tls) {
      if (options.tls !== undefined) (server as TlsServer).setSecureContext(tlsOptions(tls))
    },
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      server.closeIdleConnections()
      await quietOrLate(door)
      server.closeAllConnections()
      for (const socket of sockets) socket.destroy()
      await closed
    },
  }
}

const HANDSHAKE = { minVersion: 'TLSv1.2', handshakeTimeout: 10_000 } as const

/** What requests share. */
interface Door {
  readonly broker: Broker
  readonly room: BodyRoom
  /** Requests whose body was read and which are not answered yet. */
  inFlight: number
  readonly answering: Set<ServerResponse>
  /** Called when the last answer has gone out. */
  quiet?: () => void
}

async function quietOrLate(door: Door): Promise<void> {
  if (door.answering.size === 0) return
  const { promise, resolve } = Promise.withResolvers<void>()
  door.quiet = resolve
  const late = setTimeout(resolve, DRAIN_MS)
  await promise
  clearTimeout(late)
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
  door: Door,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  try {
    send(response, await answer(door, request))
  } catch (error) {
    const { status, body } = toProblem(error, false)
    send(response, { status, type: 'application/json', body: JSON.stringify(body) })
  }
}

async function answer(door: Door, request: IncomingMessage): Promise<BrokerReply> {
  const { broker } = door
  const url = URL.parse(request.url ?? '/', 'http://broker')
  if (url === null) throw new KbsError('KBS_ROUTE_UNKNOWN', 'reading a request: it has no path')
  if (request.method === 'GET' && url.pathname === '/healthz') return { status: 200, body: '' }
  if (request.method === 'GET' && url.pathname === '/metrics') {
    return { status: 200, type: 'text/plain; version=0.0.4', body: metrics(broker) }
  }
  const body = door.room.reader(request)
  try {
    return await route(
      broker,
      {
        method: request.method ?? '',
        path: splitPath(url.pathname),
        query: url.searchParams,
        authorization: request.headers.authorization,
        cookie: request.headers.cookie,
        ifNoneMatch: request.headers['if-none-match'],
        proof: request.headersDistinct[DECISION_PROOF_HEADER]?.[0],
        secure: request.socket instanceof TLSSocket,
      },
      (limit) => body.read(limit),
      () => inFlight(door),
    )
  } finally {
    body.release()
  }
}

// Senders of slow bodies are not counted: they would keep everybody else out.
function inFlight(door: Door): Disposable {
  if (door.inFlight >= MAX_IN_FLIGHT) {
    throw new KbsError('KBS_BUSY', 'taking a request: too many are under way')
  }
  door.inFlight++
  return { [Symbol.dispose]: () => void door.inFlight-- }
}

function send(response: ServerResponse, reply: BrokerReply): void {
  if (response.destroyed) return
  // What is left of a body is not read, so the connection cannot carry another request.
  if (!response.req.complete) response.setHeader('Connection', 'close')
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
