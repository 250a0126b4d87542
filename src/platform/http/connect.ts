import { createHash, timingSafeEqual, X509Certificate } from 'node:crypto'
import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction, type Socket, connect as tcpConnect } from 'node:net'
import type { Duplex } from 'node:stream'
import { checkServerIdentity, type TLSSocket, connect as tlsConnect } from 'node:tls'
import { HttpError } from '#lib/http'
import { toHttpError } from './failure.ts'

/** A peer is trusted by a key, by certificate authorities, or not at all. */
export type Trust =
  /** SHA-256 of the SPKI of the leaf key, 32 bytes each. Nothing else counts: no CA, name or date. */
  | { readonly kind: 'pins'; readonly pins: readonly Uint8Array[] }
  /** PEM certificates; exclusive. Undefined: those that node brings along. */
  | { readonly kind: 'ca'; readonly ca: readonly string[] | undefined }
  /** Any certificate; only ever on the user's explicit word. */
  | { readonly kind: 'none' }

/** How connections are made. */
export interface ConnectOptions {
  readonly trust: Trust
  /** Certificate and key with which we authenticate, PEM. */
  readonly client: { readonly cert: string; readonly key: string } | undefined
  /** Lower bound of the time: certificates that ended before it are refused. */
  readonly notBefore: (() => number) | undefined
  /** Asked for the numeric address before a connection is made to it. */
  readonly allowAddress: ((address: string) => boolean) | undefined
  /** Milliseconds for name, connection and handshake together. */
  readonly timeout: number
  /** A stream to the peer, in place of a TCP connection; with TLS only. */
  readonly through: (() => Duplex) | undefined
}

/** Where to connect. */
export interface Peer {
  readonly host: string
  readonly port: number
  readonly tls: boolean
}

const MAX_CHAIN = 16

/**
 * A connection over which nothing of ours has been sent yet: its address was allowed and,
 * with TLS, its key or certificate was found good. Throws HttpError.
 */
export async function connect(peer: Peer, options: ConnectOptions): Promise<Socket> {
  const host = peer.host.replace(/^\[(.*)\]$/, '$1')
  const attempt = `connecting to ${peer.host}:${peer.port}`
  const { allowAddress, through } = options
  if (allowAddress !== undefined && isIP(host) !== 0 && !allowAddress(host)) {
    throw addressRefused(attempt, host)
  }
  const address = {
    host,
    port: peer.port,
    ...(allowAddress === undefined ? {} : { lookup: checkedLookup(allowAddress, attempt) }),
  }
  const place = through === undefined ? address : { socket: through() }
  const socket = peer.tls ? openTls(host, place, options) : tcpConnect(address)
  try {
    await ready(socket, peer.tls ? 'secureConnect' : 'connect', options.timeout, attempt)
    const remote = socket.remoteAddress
    if (allowAddress !== undefined && (remote === undefined || !allowAddress(remote))) {
      throw addressRefused(attempt, remote ?? 'unknown')
    }
    if (peer.tls && options.trust.kind === 'pins') {
      checkPins(socket as TLSSocket, options.trust.pins, attempt)
    }
    if (peer.tls && options.trust.kind === 'ca' && options.notBefore !== undefined) {
      checkDates(socket as TLSSocket, options.notBefore(), attempt)
    }
    return socket
  } catch (error) {
    socket.destroy()
    throw toHttpError(error, attempt)
  }
}

function openTls(host: string, place: object, options: ConnectOptions): TLSSocket {
  const { trust, client } = options
  return tlsConnect({
    ...place,
    // Server names are never addresses (RFC 6066 3).
    ...(isIP(host) === 0 ? { servername: host } : {}),
    minVersion: 'TLSv1.2',
    ALPNProtocols: ['http/1.1'],
    rejectUnauthorized: trust.kind === 'ca',
    checkServerIdentity: (name, certificate) =>
      trust.kind === 'ca' ? checkServerIdentity(name, certificate) : undefined,
    // A pinned peer is checked after the handshake, in `checkPins`. No session is ever
    // resumed (none is passed here), so each connection shows its certificate.
    // An empty list where no authority counts: node would else parse all of its own.
    ...(trust.kind !== 'ca' ? { ca: [] } : trust.ca === undefined ? {} : { ca: [...trust.ca] }),
    ...(client === undefined ? {} : client),
  })
}

// The handshake has proved that the peer holds the leaf's private key; this says which key
// that must be. It runs before the socket is handed to the HTTP client, so before any byte.
function checkPins(socket: TLSSocket, pins: readonly Uint8Array[], attempt: string): void {
  const raw = socket.getPeerX509Certificate()?.raw
  const spki =
    raw === undefined
      ? undefined
      : new X509Certificate(raw).publicKey.export({ type: 'spki', format: 'der' })
  const found = spki === undefined ? undefined : createHash('sha256').update(spki).digest()
  if (found !== undefined && pins.some((pin) => timingSafeEqual(pin, found))) return
  throw new HttpError(
    'TLS_PIN_MISMATCH',
    `${attempt}: the key of the server is sha256/${found?.toString('base64') ?? 'unknown'}, which is not pinned`,
  )
}

// Node has compared the dates with the system's clock. Where that clock can be turned back, a stolen
// key of a certificate that ended long ago would be good again.
function checkDates(socket: TLSSocket, notBefore: number, attempt: string): void {
  let certificate = socket.getPeerX509Certificate()
  for (let depth = 0; certificate !== undefined && depth < MAX_CHAIN; depth++) {
    if (certificate.validToDate.getTime() < notBefore) {
      throw new HttpError('TLS_UNTRUSTED', `${attempt}: CERT_HAS_EXPIRED`)
    }
    certificate = certificate.issuerCertificate
  }
}

function checkedLookup(allow: (address: string) => boolean, attempt: string): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      const allowed = addresses.filter(({ address }) => allow(address))
      const first = allowed[0]
      if (first === undefined) {
        return callback(addressRefused(attempt, addresses[0]?.address ?? 'none'), [])
      }
      return options.all === true
        ? callback(null, allowed as LookupAddress[])
        : callback(null, first.address, first.family)
    })
  }
}

function addressRefused(attempt: string, address: string): HttpError {
  return new HttpError(
    'NETWORK_ADDRESS_REFUSED',
    `${attempt}: the address ${address} may not be used`,
  )
}

function ready(socket: Socket, event: string, timeout: number, attempt: string): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const late = (): void =>
    reject(new HttpError('NETWORK_TIMEOUT', `${attempt}: no connection after ${timeout} ms`))
  const timer = setTimeout(late, timeout)
  const closed = (): void => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' }))
  socket.once(event, resolve).once('error', reject).once('close', closed)
  return promise.finally(() => {
    clearTimeout(timer)
    socket.off(event, resolve).off('error', reject).off('close', closed)
    // Between here and the HTTP client's own listener, an error must not end the process.
    socket.on('error', () => {})
  })
}
