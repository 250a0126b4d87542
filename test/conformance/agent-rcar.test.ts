import assert from 'node:assert/strict'
import { createHash, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, test } from 'node:test'
import { parseQuote } from '#lib/attest'
import { fromBase64, fromUtf8, toHex, utf8 } from '#lib/bytes'
import type { Transport } from '#lib/http'
import { object, parseJson } from '#lib/json'
import { createHttpTransport } from '#platform/http'
import type { RemoteError } from '#protocol/agent'
import { callerReportData } from '../../src/enclave/agent/agent.ts'
import { AgentHarness, context, MANIFEST, type StartedAgent } from '../support/agent-harness.ts'

const harness = await AgentHarness.start()
after(() => harness[Symbol.asyncDispose]())
await harness.set('kbs:///acme/config/greeting', 'hello')
await harness.set('kbs:///acme/image-kek/k1', new Uint8Array(32).fill(1))
await harness.set('kbs:///other/config/secret', 'not yours')

async function attest(started: StartedAgent, resource = '', reportData = new Uint8Array(0)) {
  const { json } = await started.agent.handlers.attest(
    { resource, reportData, explain: false },
    context(),
  )
  return object(parseJson(json), 'result')
}

async function configured(
  change: Parameters<AgentHarness['agent']>[0] = {},
): Promise<StartedAgent> {
  const started = harness.agent(change)
  await started.configure()
  return started
}

/** Records what an agent sends to its broker. */
function recorder() {
  const paths: string[] = []
  const brokerTransport = (pins: readonly string[]): Transport => {
    const { send } = createHttpTransport({ pins, tlsOnly: true })
    return async (request) => {
      paths.push(`${request.method} ${request.url.pathname}`)
      return await send(request)
    }
  }
  return { paths, environment: { brokerTransport } }
}

test('an agent on the simulated platform attests to the broker and learns its decision', async () => {
  const result = await attest(await configured())
  assert.equal(result.platform, 'simulated')
  const claims = object(result.claims, 'claims')
  assert.equal(claims.jti, result.decisionId)
  const decision = await harness.decision(String(result.decisionId))
  assert.equal(decision.kind, 'appraise')
  assert.equal(decision.decision, 'allow')
})

test('a resource is released to the enclave and shown to the host where the launch policy permits', async () => {
  const result = await attest(await configured(), 'kbs:///acme/config/greeting')
  assert.equal(fromUtf8(fromBase64(String(result.resource), 'resource'), 'resource'), 'hello')
})

test('keys are never shown to the host by the default launch policy, nor are they asked for', async () => {
  const { paths, environment } = recorder()
  const started = await configured({ environment })
  await assert.rejects(attest(started, 'kbs:///acme/image-kek/k1'), (error: RemoteError) => {
    assert.equal(error.code, 'RESOURCE_REVEAL_REFUSED')
    assert.match(error.next ?? '', /permit \(.*reveal.*kbs:\/\/\/acme\/image-kek\/k1/)
    return true
  })
  assert.equal(
    paths.some((path) => path.includes('image-kek')),
    false,
  )
})

test('a resource of another namespace is refused by the agent and by the broker', async () => {
  await assert.rejects(attest(await configured(), 'kbs:///other/config/secret'), {
    code: 'RESOURCE_REVEAL_REFUSED',
  })
  await harness.set(
    'kbs:///open/launch-policy/default',
    '@id("all") permit (principal, action, resource);',
  )
  const open = await configured({ namespace: 'open' })
  await assert.rejects(attest(open, 'kbs:///other/config/secret'), {
    code: 'RESOURCE_REVEAL_REFUSED',
  })
})

test('a missing resource is said to be missing, after one attestation', async () => {
  const { paths, environment } = recorder()
  const started = await configured({ environment })
  await assert.rejects(attest(started, 'kbs:///acme/config/none'), { code: 'RESOURCE_NOT_FOUND' })
  assert.equal(paths.filter((path) => path.endsWith('/auth')).length, 1)
})

test('one handshake serves calls that come together, and later ones', async () => {
  const { paths, environment } = recorder()
  const started = await configured({ environment })
  await Promise.all([attest(started), attest(started), attest(started)])
  await attest(started)
  assert.equal(paths.filter((path) => path.endsWith('/attest')).length, 1)
})

test('a token is renewed at 80 percent of its life by the own clock', async () => {
  const { paths, environment } = recorder()
  let now = 0
  const started = await configured({ environment: { ...environment, progress: () => now } })
  const { claims } = await attest(started)
  const { iat, exp } = object(claims, 'claims')
  const life = (Number(exp) - Number(iat)) * 1000
  now = life * 0.79
  await attest(started)
  assert.equal(paths.filter((path) => path.endsWith('/attest')).length, 1)
  now = life * 0.81
  await attest(started)
  assert.equal(paths.filter((path) => path.endsWith('/attest')).length, 2)
})

test('a token that the broker does not accept any more leads to exactly one new handshake', async () => {
  const paths: string[] = []
  let spoil = 1
  const brokerTransport = (pins: readonly string[]): Transport => {
    const { send } = createHttpTransport({ pins, tlsOnly: true })
    return async (request) => {
      paths.push(request.url.pathname)
      const { authorization } = request.headers
      if (authorization === undefined || spoil-- <= 0) return await send(request)
      return await send({
        ...request,
        headers: { ...request.headers, authorization: 'Bearer x.y.z' },
      })
    }
  }
  const started = await configured({ environment: { brokerTransport } })
  const result = await attest(started, 'kbs:///acme/config/greeting')
  assert.notEqual(result.resource, undefined)
  assert.equal(paths.filter((path) => path.endsWith('/attest')).length, 2)
  spoil = 100
  await assert.rejects(attest(started, 'kbs:///acme/config/greeting'), {
    code: 'KBS_TOKEN_INVALID',
  })
  assert.equal(paths.filter((path) => path.endsWith('/attest')).length, 3)
})

test('a refusal of evidence arrives with its code and the id under which the owner finds it', async () => {
  const unknown = utf8(fromUtf8(MANIFEST, 'manifest').replace('"isvSvn":1', '"isvSvn":2'))
  const started = harness.agent({ secs: { mrEnclave: sha256(unknown), isvSvn: 2 } })
  const { agent, initData } = started
  await agent.handlers.configure({ initData, manifest: unknown }, context())
  const error = await attest(started).catch((e) => e)
  assert.equal(error.code, 'APPRAISE_MEASUREMENT')
  const decision = await harness.decision(error.correlationId)
  assert.equal(decision.decision, 'deny')
})

test('an agent of a machine whose root the broker does not trust gets no token', async () => {
  await using bare = await AgentHarness.start({ bare: true })
  const started = bare.agent()
  await started.configure()
  await assert.rejects(attest(started), { code: 'APPRAISE_ROOT_UNTRUSTED' })
})

test('a broker that relays the nonces of the real one gets neither token nor key', async () => {
  // The attack of own-protocols 1: genuine agent, init-data of the attacker's broker, real nonces.
  const { send } = createHttpTransport({ pins: [harness.pin], tlsOnly: true })
  const relayed: { path: string; status: number; body: string }[] = []
  const thief = await startThief(async (method, path, headers, body) => {
    const response = await send({ method, url: new URL(path, harness.broker.url), headers, body })
    const chunks: Uint8Array[] = []
    for await (const chunk of response.body) chunks.push(chunk)
    const answer = Buffer.concat(chunks)
    relayed.push({ path, status: response.status, body: answer.toString() })
    const cookie = response.headers['set-cookie']
    return { status: response.status, cookie, body: answer }
  })
  try {
    const started = await configured({ url: thief.url, pins: [thief.pin] })
    await assert.rejects(attest(started), { code: 'APPRAISE_OTHER_BROKER' })
    assert.deepEqual(
      relayed.map(({ path, status }) => [path, status === 200]),
      [
        ['/kbs/v0/auth', true],
        ['/kbs/v0/attest', false],
      ],
    )
    assert.equal(
      relayed.some(({ body }) => body.includes('"token"')),
      false,
    )
  } finally {
    await thief.close()
  }
})

test('a broker that cannot be reached is said to be that, and may be tried again', async () => {
  const started = await configured({ url: 'https://127.0.0.1:1' })
  const error = await attest(started).catch((e) => e)
  assert.deepEqual([error.code, error.retryable], ['KBS_UNREACHABLE', true])
})

test('a server without the pinned key gets no byte of a request', async () => {
  const seen: string[] = []
  const thief = await startThief(async (_method, path) => {
    seen.push(path)
    return { status: 200, cookie: undefined, body: Buffer.from('{}') }
  })
  try {
    const started = await configured({ url: thief.url })
    await assert.rejects(attest(started), { code: 'TLS_PIN_MISMATCH' })
    assert.deepEqual(seen, [])
  } finally {
    await thief.close()
  }
})

test('configuration is accepted once, and only what the enclave was launched with', async () => {
  const started = harness.agent()
  await assert.rejects(attest(started), { code: 'AGENT_STATE' })
  const { initData } = started
  const other = utf8(`${fromUtf8(initData, 'x')}# another\n`)
  await assert.rejects(
    harness.agent().agent.handlers.configure({ initData: other, manifest: MANIFEST }, context()),
    { code: 'AGENT_IDENTITY', message: /init-data/ },
  )
  const manifest = utf8(fromUtf8(MANIFEST, 'x').replace('"debug":false', '"debug":true'))
  await assert.rejects(
    harness.agent().agent.handlers.configure({ initData, manifest }, context()),
    { code: 'AGENT_IDENTITY', message: /manifest/ },
  )
  await started.configure()
  await assert.rejects(started.configure(), { code: 'AGENT_STATE' })
})

test('data of a caller is bound under a domain of its own', async () => {
  const data = utf8('challenge')
  const result = await attest(await configured(), '', data)
  const parsed = parseQuote(fromBase64(String(result.quote), 'quote'))
  assert.equal(toHex(parsed.body.reportData), toHex(callerReportData(data)))
  await assert.rejects(attest(await configured(), '', new Uint8Array(65)), {
    code: 'AGENT_REQUEST_INVALID',
  })
})

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}

type Relay = (
  method: 'GET' | 'POST',
  path: string,
  headers: Record<string, string>,
  body: Uint8Array,
) => Promise<{ status: number; cookie: unknown; body: Uint8Array }>

/** An HTTPS server with a key of its own. */
async function startThief(relay: Relay) {
  const { issueCertificate, certificatePem } = await import('../../src/owner/kbs/certificates.ts')
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = Date.now()
  const certificate = certificatePem(
    issueCertificate({
      subject: 'thief',
      publicKey: pair.publicKey,
      issuer: { subject: 'thief', ...pair },
      use: 'server',
      names: ['127.0.0.1'],
      notBefore: now - 1000,
      notAfter: now + 86_400_000,
    }),
  )
  const key = String(pair.privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const server = createServer({ key, cert: certificate }, (request, response) => {
    const chunks: Uint8Array[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', async () => {
      const headers: Record<string, string> = { 'content-type': 'application/json' }
      if (request.headers.cookie !== undefined) headers.cookie = request.headers.cookie
      const body = Buffer.concat(chunks)
      const answer = await relay(request.method as 'POST', request.url ?? '', headers, body)
      if (answer.cookie !== undefined) response.setHeader('set-cookie', answer.cookie as string)
      response.writeHead(answer.status).end(answer.body)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const spki = new X509Certificate(certificate).publicKey.export({ type: 'spki', format: 'der' })
  return {
    url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pin: `sha256/${createHash('sha256').update(spki).digest('base64')}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections()
        server.close(() => resolve())
      }),
  }
}
