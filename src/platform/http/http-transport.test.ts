import assert from 'node:assert/strict'
import { createServer, type Server as HttpServer, type RequestListener } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { test } from 'node:test'
import { createServer as createBareTlsServer } from 'node:tls'
import { fromUtf8, utf8 } from '#lib/bytes'
import { type HttpRequest, header, readBody } from '#lib/http'
import { issueCertificate } from '../../../test/support/certificate.ts'
import { createHttpTransport, isPublicAddress } from './index.ts'

interface Running extends AsyncDisposable {
  readonly port: number
  readonly server: Server
}

async function listen(server: Server): Promise<Running> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    port: (server.address() as AddressInfo).port,
    server,
    [Symbol.asyncDispose]: async () => {
      ;(server as HttpServer).closeAllConnections?.()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const plain = (listener: RequestListener): Promise<Running> => listen(createServer(listener))
const get = (url: string, extra: Partial<HttpRequest> = {}): HttpRequest => ({
  method: 'GET',
  url: new URL(url),
  headers: {},
  ...extra,
})

test('a request carries its headers and body, an answer its status, headers and exact bytes', async () => {
  await using at = await plain((request, response) => {
    let body = ''
    request.on('data', (chunk) => {
      body += chunk
    })
    request.on('end', () => {
      response.writeHead(207, { 'x-echo': [request.headers['x-a'] ?? '', 'two'].map(String) })
      response.end(`${request.method} ${request.headers['content-length'] ?? 'chunked'} ${body}`)
    })
  })
  using transport = createHttpTransport()
  const url = `http://127.0.0.1:${at.port}/`
  const first = await transport.send(
    get(url, { method: 'PUT', headers: { 'x-a': 'one' }, body: utf8('abc') }),
  )
  assert.equal(first.status, 207)
  assert.deepEqual(first.headers['x-echo'], ['one', 'two'])
  assert.equal(fromUtf8((await readBody(first, 100)) ?? utf8('?'), 'body'), 'PUT 3 abc')
  async function* stream(): AsyncGenerator<Uint8Array> {
    for (const part of ['a', 'b', 'c']) yield utf8(part)
  }
  const second = await transport.send(get(url, { method: 'PATCH', body: stream() }))
  assert.equal(fromUtf8((await readBody(second, 100)) ?? utf8('?'), 'body'), 'PATCH chunked abc')
})

test('redirects are answers like any other, and nothing is decompressed', async () => {
  await using at = await plain((_request, response) => {
    response.writeHead(302, { location: 'http://127.0.0.1:1/', 'content-encoding': 'gzip' })
    response.end('not gzip')
  })
  using transport = createHttpTransport()
  const response = await transport.send(get(`http://127.0.0.1:${at.port}/`))
  assert.equal(response.status, 302)
  assert.equal(header(response, 'location'), 'http://127.0.0.1:1/')
  assert.deepEqual(await readBody(response, 100), utf8('not gzip'))
})

test('a body that ends before its Content-Length is NETWORK_BROKEN', async () => {
  await using at = await plain((_request, response) => {
    response.writeHead(200, { 'content-length': '10' })
    response.write('half', () => response.destroy())
  })
  using transport = createHttpTransport()
  const response = await transport.send(get(`http://127.0.0.1:${at.port}/`))
  await assert.rejects(readBody(response, 100), { code: 'NETWORK_BROKEN' })
})

test('leaving a body early frees the connection', async () => {
  const closed = Promise.withResolvers<void>()
  await using at = await plain((_request, response) => {
    response.on('close', closed.resolve)
    const more = (): void => {
      if (!response.destroyed) response.write(new Uint8Array(65_536), () => setImmediate(more))
    }
    more()
  })
  using transport = createHttpTransport()
  const response = await transport.send(get(`http://127.0.0.1:${at.port}/`))
  assert.equal(await readBody(response, 1000), undefined)
  await closed.promise
})

test('a server without an answer is given up, and an aborted request throws its reason', async () => {
  await using at = await plain(() => {})
  using transport = createHttpTransport({ idleTimeout: 20 })
  const url = `http://127.0.0.1:${at.port}/`
  await assert.rejects(transport.send(get(url)), { code: 'NETWORK_TIMEOUT' })
  using patient = createHttpTransport()
  const controller = new AbortController()
  const reason = new Error('enough')
  at.server.once('request', () => controller.abort(reason))
  await assert.rejects(patient.send(get(url, { signal: controller.signal })), reason)
  await assert.rejects(patient.send(get(url, { signal: AbortSignal.abort(reason) })), reason)
})

test('a reader slower than the idle time is not a slow server', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  await using at = await plain((_request, response) => response.end('x'))
  using transport = createHttpTransport({ idleTimeout: 30 })
  const response = await transport.send(get(`http://127.0.0.1:${at.port}/`))
  t.mock.timers.tick(60_000)
  assert.deepEqual(await readBody(response, 10), utf8('x'))
})

test('an error of the source of a body reaches the caller as it is', async () => {
  await using at = await plain((request) => void request.resume())
  using transport = createHttpTransport()
  const failure = new Error('encryption failed')
  async function* source(): AsyncGenerator<Uint8Array> {
    yield utf8('a')
    throw failure
  }
  const request = get(`http://127.0.0.1:${at.port}/`, { method: 'PATCH', body: source() })
  await assert.rejects(transport.send(request), failure)
})

test('nobody listening is NETWORK_UNREACHABLE', async () => {
  const at = await plain(() => {})
  const { port } = at
  await at[Symbol.asyncDispose]()
  using transport = createHttpTransport()
  await assert.rejects(transport.send(get(`http://127.0.0.1:${port}/`)), {
    code: 'NETWORK_UNREACHABLE',
  })
})

test('the list of CAs is exclusive, and the name counts', async () => {
  const [right, other, misnamed] = await Promise.all([
    issueCertificate(),
    issueCertificate(),
    issueCertificate(['elsewhere.example']),
  ])
  const listener: RequestListener = (_request, response) => void response.end('ok')
  await using at = await listen(createTlsServer({ key: right.key, cert: right.cert }, listener))
  await using wrong = await listen(
    createTlsServer({ key: misnamed.key, cert: misnamed.cert }, listener),
  )
  const url = `https://127.0.0.1:${at.port}/`
  using trusting = createHttpTransport({ ca: [right.cert] })
  assert.equal((await trusting.send(get(url))).status, 200)
  using named = createHttpTransport({ ca: [right.cert] })
  assert.equal((await named.send(get(`https://localhost:${at.port}/`))).status, 200)
  for (const ca of [[other.cert], [], undefined]) {
    using strict = createHttpTransport(ca === undefined ? {} : { ca })
    await assert.rejects(strict.send(get(url)), { code: 'TLS_UNTRUSTED' })
  }
  using sees = createHttpTransport({ ca: [misnamed.cert] })
  await assert.rejects(sees.send(get(`https://127.0.0.1:${wrong.port}/`)), {
    code: 'TLS_UNTRUSTED',
  })
  using blind = createHttpTransport({ insecure: true })
  assert.equal((await blind.send(get(`https://127.0.0.1:${wrong.port}/`))).status, 200)
})

test('a certificate that ended before a time known from elsewhere is refused, whatever the clock says', async () => {
  const day = 86_400_000
  const certificate = await issueCertificate(['localhost'], new Date(Date.now() + day))
  let received = 0
  const listener: RequestListener = (_request, response) => {
    received++
    response.end('ok')
  }
  await using at = await listen(
    createTlsServer({ key: certificate.key, cert: certificate.cert }, listener),
  )
  const request = get(`https://127.0.0.1:${at.port}/`)
  using good = createHttpTransport({ ca: [certificate.cert], notBefore: () => Date.now() })
  assert.equal((await good.send(request)).status, 200)
  using late = createHttpTransport({
    ca: [certificate.cert],
    notBefore: () => Date.now() + 2 * day,
  })
  await assert.rejects(late.send(request), { code: 'TLS_UNTRUSTED' })
  assert.equal(received, 1)
})

test('pins are exclusive: another key never gets a byte of the request', async () => {
  const [pinned, other] = await Promise.all([
    // Neither name nor date count for a pin: the enclave has no clock to judge a date by.
    issueCertificate(['elsewhere.example'], new Date(Date.now() - 86_400_000)),
    issueCertificate(),
  ])
  const listener: RequestListener = (_request, response) => void response.end('ok')
  await using right = await listen(
    createTlsServer({ key: pinned.key, cert: pinned.cert }, listener),
  )
  let received = 0
  const tls = createBareTlsServer({ key: other.key, cert: other.cert }, (socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => {
      received += chunk.length
      socket.end('HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n')
    })
  })
  await using wrong = await listen(tls)
  using transport = createHttpTransport({ pins: [pinned.pin] })
  for (let i = 0; i < 2; i++) {
    const good = await transport.send(get(`https://127.0.0.1:${right.port}/`))
    assert.deepEqual(await readBody(good, 10), utf8('ok'))
  }
  const request = get(`https://127.0.0.1:${wrong.port}/`, { headers: { authorization: 'secret' } })
  await assert.rejects(transport.send(request), { code: 'TLS_PIN_MISMATCH' })
  assert.equal(received, 0)
  // Positive control: the detector sees the bytes of a client that does not pin.
  using careless = createHttpTransport({ insecure: true })
  assert.equal((await careless.send(request)).status, 200)
  assert.ok(received > 0)
  // A CA that signed the other key does not help: the certificate is good, the key is not.
  using twice = createHttpTransport({ pins: [] })
  await assert.rejects(twice.send(request), { code: 'TLS_PIN_MISMATCH' })
})

test('tlsOnly refuses http, and a server without TLS is TLS_FAILED', async () => {
  await using at = await plain((_request, response) => void response.end('ok'))
  using strict = createHttpTransport({ tlsOnly: true })
  await assert.rejects(strict.send(get(`http://127.0.0.1:${at.port}/`)), { code: 'TLS_FAILED' })
  using transport = createHttpTransport({ insecure: true })
  await assert.rejects(transport.send(get(`https://127.0.0.1:${at.port}/`)), {
    code: 'TLS_FAILED',
  })
})

test('addresses are judged when the connection is made, literal or from a name', async () => {
  let connections = 0
  await using at = await listen(
    createTcpServer((socket) => {
      connections++
      socket.destroy()
    }),
  )
  using transport = createHttpTransport({
    allowAddress: (address, redirected) => !redirected || isPublicAddress(address),
  })
  for (const host of ['127.0.0.1', 'localhost']) {
    const url = `http://${host}:${at.port}/`
    await assert.rejects(transport.send(get(url, { redirected: true })), {
      code: 'NETWORK_ADDRESS_REFUSED',
    })
    assert.equal(connections, 0)
  }
  // Positive control: the same place is reached where the rule allows it.
  await assert.rejects(transport.send(get(`http://127.0.0.1:${at.port}/`)), {
    code: 'NETWORK_BROKEN',
  })
  assert.ok(connections > 0)
})

test('a pooled connection of a configured host does not serve a redirect to it', async () => {
  await using at = await plain((_request, response) => void response.end('ok'))
  using transport = createHttpTransport({
    allowAddress: (address, redirected) => !redirected || isPublicAddress(address),
  })
  const url = `http://127.0.0.1:${at.port}/`
  await readBody(await transport.send(get(url)), 10)
  await assert.rejects(transport.send(get(url, { redirected: true })), {
    code: 'NETWORK_ADDRESS_REFUSED',
  })
})

test('isPublicAddress() knows the ranges that are not', () => {
  for (const address of ['8.8.8.8', '1.1.1.1', '2606:4700::1111', '172.32.0.1', '100.128.0.1']) {
    assert.equal(isPublicAddress(address), true, address)
  }
  const closed = [
    ['0.0.0.0', '10.1.2.3', '100.64.0.1', '127.0.0.1', '169.254.169.254', '172.31.255.255'],
    ['192.168.1.1', '198.18.0.1', '224.0.0.1', '255.255.255.255', '::', '::1', 'fe80::1'],
    ['fd00::1', '::ffff:127.0.0.1', '::ffff:8.8.8.8', '64:ff9b::a00:1', '2002:a00:1::', 'ff02::1'],
    ['2001:db8::1', '2001:0::1', 'localhost', '', '8.8.8.8.8'],
  ].flat()
  for (const address of closed) assert.equal(isPublicAddress(address), false, address)
})

test('a proxy of the environment is used, and NO_PROXY is honoured', async () => {
  const seen: string[] = []
  await using at = await plain((_request, response) => void response.end('direct'))
  const server = createServer((request, response) => {
    seen.push(request.url ?? '')
    response.end('through the proxy')
  })
  server.on('connect', (request, socket) => {
    seen.push(request.url ?? '')
    socket.end('HTTP/1.1 502 no\r\n\r\n')
  })
  await using proxy = await listen(server)
  const address = `http://127.0.0.1:${proxy.port}`
  using transport = createHttpTransport({
    proxyEnv: { HTTPS_PROXY: address, HTTP_PROXY: address, NO_PROXY: `127.0.0.1:${at.port}` },
  })
  await assert.rejects(transport.send(get('https://registry.example/v2/')))
  const through = await transport.send(get('http://registry.example/v2/'))
  assert.deepEqual(await readBody(through, 100), utf8('through the proxy'))
  assert.deepEqual(seen, ['registry.example:443', 'http://registry.example/v2/'])
  const direct = await transport.send(get(`http://127.0.0.1:${at.port}/`))
  assert.deepEqual(await readBody(direct, 100), utf8('direct'))
})

test('a transport is trusting in one way only', () => {
  assert.throws(() => createHttpTransport({ ca: [], insecure: true }), TypeError)
  assert.throws(() => createHttpTransport({ pins: [], ca: [] }), TypeError)
  assert.throws(() => createHttpTransport({ pins: [], proxyEnv: {} }), TypeError)
  assert.throws(() => createHttpTransport({ pins: ['sha1/x'] }), TypeError)
  assert.throws(() => createHttpTransport({ pins: ['sha256/eA=='] }), { code: 'FORMAT_INVALID' })
})
