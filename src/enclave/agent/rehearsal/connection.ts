import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { type Duplex, duplexPair } from 'node:stream'
import { TLSSocket } from 'node:tls'
import { derBits, derInteger, derOid, derSequence, derTime } from '#lib/asn1'
import { toBase64, utf8 } from '#lib/bytes'
import { ECDSA_WITH_SHA256, encodePem } from '#lib/x509'
import { createHttpTransport } from '#platform/http'
import { exchange } from '../broker/exchange.ts'

const ANSWER = utf8('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}')
const ALGORITHM = derSequence(derOid(ECDSA_WITH_SHA256))

/**
 * Two requests over TLS to a server in this process, by the client that brokers are asked with: the server
 * is the other end of a stream in memory, has a key of its own, and is pinned by it. Throws HttpError or
 * BrokerError if there is a defect.
 */
export async function rehearseConnection(): Promise<void> {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  const cert = encodePem(selfSigned(spki, privateKey), 'CERTIFICATE')
  const key = privateKey.export({ type: 'pkcs8', format: 'pem' }) as string
  const pin = `sha256/${toBase64(createHash('sha256').update(spki).digest())}`
  using transport = createHttpTransport({
    pins: [pin],
    tlsOnly: true,
    through: () => {
      const [ours, theirs] = duplexPair()
      answer(theirs, { key, cert })
      return ours
    },
  })
  const wire = { url: 'https://rehearsal.invalid', transport: transport.send }
  await exchange(wire, { method: 'GET', path: 'rehearsal', attempt: 'rehearsing' })
  await exchange(wire, { method: 'POST', path: 'rehearsal', attempt: 'rehearsing', json: {} })
}

function answer(stream: Duplex, secure: { readonly key: string; readonly cert: string }): void {
  const server = new TLSSocket(stream, { isServer: true, ...secure })
  server.on('error', () => {})
  // Each request is one write, and so small that it comes as one.
  server.on('data', () => server.write(ANSWER))
}

/** A certificate that says nothing but its key (RFC 5280, version 1). */
function selfSigned(spki: Uint8Array, key: KeyObject): Uint8Array {
  const name = derSequence()
  const validity = derSequence(derTime(0), derTime(0))
  const tbs = derSequence(derInteger(1), ALGORITHM, name, validity, name, spki)
  return derSequence(tbs, ALGORITHM, derBits(sign('sha256', tbs, key)))
}
