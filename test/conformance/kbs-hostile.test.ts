import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { connect as tcpConnect } from 'node:net'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import { intelSgxRoot } from '#lib/attest'
import { type JsonObject, object, parseJson } from '#lib/json'
import { encodePem } from '#lib/x509'
import { adminRoute } from '../../src/owner/kbs/admin-routes.ts'
import { ALLOWANCE_BURST } from '../../src/owner/kbs/allowance.ts'
import { verifyToken } from '../../src/owner/kbs/token.ts'
import { type Answer, type EnclaveChange, KbsWorld } from '../support/kbs-world.ts'

const world = await KbsWorld.start()
after(() => world[Symbol.asyncDispose]())
await world.trust()
await world.set('acme/note/hello', 'x')

const INTEL = encodePem(intelSgxRoot().certificate.raw, 'CERTIFICATE')

function port(of: KbsWorld): number {
  return Number(new URL(of.running.url).port)
}

/** Sends raw bytes over TLS and returns what comes back within a moment. */
async function raw(text: string): Promise<string> {
  const ca = readFileSync(join(world.dataDir, 'tls/ca.pem'))
  const socket = tlsConnect({ port: port(world), host: '127.0.0.1', ca })
  let seen = ''
  socket.on('data', (chunk) => {
    seen += chunk
  })
  const ended = new Promise<void>((resolve) => {
    socket.once('close', () => resolve())
    socket.on('error', () => {})
  })
  socket.write(text)
  await Promise.race([ended, sleep(1500)])
  socket.destroy()
  return seen
}

async function sendCollateral(to: KbsWorld, collateral: JsonObject): Promise<Answer> {
  const { nonce, cookie } = await to.auth()
  const json = await to.attestation(to.enclave(), nonce)
  const evidence = object(json['tee-evidence'], 'e')
  const primary = { ...object(evidence.primary_evidence, 'p'), collateral }
  const changed = { ...json, 'tee-evidence': { ...evidence, primary_evidence: primary } }
  return to.ask('POST', 'attest', { json: changed, headers: { cookie } })
}

test('a broker that is told to stop does not wait for a connection that never says hello', async () => {
  await using fresh = await KbsWorld.start()
  const silent = tcpConnect(port(fresh), '127.0.0.1')
  silent.on('error', () => {})
  await new Promise((resolve) => silent.once('connect', resolve))
  // Until the broker has seen the connection too.
  await fresh.auth()
  const began = performance.now()
  await fresh.running.close()
  assert.ok(performance.now() - began < 5000, 'it waited for the silent one')
  silent.destroy()
  await fresh.serve()
})

test('a request under way is answered before a broker that is told to stop ends', async () => {
  await using fresh = await KbsWorld.start()
  const enclave = fresh.enclave()
  const attested = fresh.attest(enclave)
  await fresh.auth()
  await fresh.running.close()
  const ended = await attested.then(
    (answer) => answer.status,
    () => 'cut before it was asked',
  )
  assert.ok([403, 'cut before it was asked'].includes(ended), String(ended))
  await fresh.serve()
})

test('clients that send their bodies slowly keep nobody else out', async () => {
  const ca = readFileSync(join(world.dataDir, 'tls/ca.pem'))
  const head = 'POST /kbs/v0/attest HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n{'
  const slow = await Promise.all(
    Array.from({ length: 300 }, async () => {
      const socket = tlsConnect({ port: port(world), host: '127.0.0.1', ca })
      socket.on('error', () => {})
      await new Promise((resolve) => socket.once('secureConnect', resolve))
      socket.write(head)
      return socket
    }),
  )
  assert.equal((await world.attest(world.enclave())).status, 200)
  for (const socket of slow) socket.destroy()
})

test('a stranger is turned away from the administration before his body is read', async () => {
  const head = (path: string, method: string) =>
    `${method} /kbs/v0/${path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer nobody\r\nContent-Length: 2000000\r\n\r\n`
  for (const [method, path] of [
    ['PUT', 'admin/resource/acme/note/hello'],
    ['POST', 'resource/acme/note/hello'],
    ['DELETE', 'resource/acme/note/hello'],
  ] as const) {
    const answer = await raw(head(path, method))
    assert.match(answer, /^HTTP\/1\.1 401 /, `${method} ${path}`)
    assert.match(answer, /KBS_ADMIN_DENIED/)
    assert.match(answer, /connection: close/i)
  }
})

test('requests that two readers would cut differently are refused', async () => {
  const both =
    'POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'
  assert.match(await raw(both), /^HTTP\/1\.1 400 /)
  const twice =
    'POST /kbs/v0/auth HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}'
  assert.match(await raw(twice), /^HTTP\/1\.1 400 /)
  const bare = 'GET /kbs/v0/resource/acme/note/hello HTTP/1.1\nHost: x\n\n'
  assert.doesNotMatch(await raw(bare), /200 OK/)
  assert.match(await raw('GET // HTTP/1.1\r\nHost: x\r\n\r\n'), /^HTTP\/1\.1 404 .*KBS_ROUTE/s)
})

test('a resource path is three plain names, however it is spelled', async () => {
  const { token } = await world.attest(world.enclave())
  const code = async (path: string) => (await world.get(path, token)).json.code
  for (const path of [
    'acme/note%2Fhello',
    'acme%2Fnote/hello',
    'acme/note/hello/',
    'acme//note/hello',
    'acme/note/%2e%2e',
    'acme/note/.hidden',
    'acme/note/hel%00lo',
    'acme/note/hel%20lo',
    'acme/no%0Ate/hello',
    'acme/note/h\u00e9llo'.replace('\u00e9', '%C3%A9'),
  ]) {
    const found = await code(path)
    assert.ok(['RESOURCE_URI_INVALID', 'KBS_ROUTE_UNKNOWN'].includes(String(found)), path)
  }
  assert.equal(await code('acme/note/hell%ff'), 'KBS_ROUTE_UNKNOWN')
  // A path that dots lead elsewhere is judged as where it leads.
  assert.equal(await code('acme/note/x/../../../other/note/hello'), 'RELEASE_NAMESPACE')
})

test('one broker does not trust hardware and a simulation for one namespace', async () => {
  await using fresh = await KbsWorld.start()
  const pem = fresh.platform.exportRoot()
  const add = (json: unknown) => fresh.admin('POST', 'roots', { json })
  // In this process, so that both are under way before either has changed anything.
  const adding = (json: JsonObject) =>
    adminRoute(fresh.running.broker, {
      method: 'POST',
      path: ['admin', 'roots'],
      query: new URLSearchParams(),
      authorization: `Bearer ${fresh.adminToken}`,
      cookie: undefined,
      ifNoneMatch: undefined,
      proof: undefined,
      body: new TextEncoder().encode(JSON.stringify(json)),
      secure: true,
    }).catch((error: unknown) => ({ status: (error as { code: string }).code }))
  const answers = await Promise.all([
    adding({ pem, platform: 'simulated' }),
    adding({ pem: INTEL, platform: 'sgx' }),
  ])
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 'ROOT_KINDS_MIXED'],
  )
  const [first] = (await fresh.admin('GET', 'roots')).json.list as JsonObject[]
  await fresh.admin('DELETE', `roots/${first?.id}`)

  assert.equal((await add({ pem, platform: 'simulated', namespace: 'dev' })).status, 200)
  const everywhere = await add({ pem: INTEL, platform: 'sgx' })
  assert.deepEqual([everywhere.status, everywhere.json.code], [409, 'ROOT_KINDS_MIXED'])
  assert.equal((await add({ pem: INTEL, platform: 'sgx', namespace: 'dev' })).status, 409)
  assert.equal((await add({ pem: INTEL, platform: 'sgx', namespace: 'acme' })).status, 200)
  assert.equal((await add({ pem, platform: 'simulated', namespace: 'acme' })).status, 409)
  assert.equal((await add({ pem, platform: 'simulated', namespace: '../x' })).status, 400)
})

test('a root of one namespace lets in no enclave of another, nor one of none', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const [wide] = (await fresh.admin('GET', 'roots')).json.list as JsonObject[]
  await fresh.admin('DELETE', `roots/${wide?.id}`)
  const pem = fresh.platform.exportRoot()
  await fresh.admin('POST', 'roots', { json: { pem, platform: 'simulated', namespace: 'dev' } })
  await fresh.admin('PUT', 'policies/appraise', {
    body: new TextEncoder().encode('@id("all") permit (principal, action, resource);'),
  })
  const code = async (change: EnclaveChange) =>
    (await fresh.attest(fresh.enclave(change))).json.code
  assert.equal(await code({ namespace: 'dev' }), undefined)
  assert.equal(await code({ namespace: 'acme' }), 'APPRAISE_ROOT_UNTRUSTED')
  assert.equal(await code({ initData: null }), 'APPRAISE_ROOT_UNTRUSTED')
  await fresh.running.close()
  await fresh.serve()
  assert.equal(await code({ namespace: 'dev' }), undefined, 'also after a restart')
  assert.equal(await code({ namespace: 'acme' }), 'APPRAISE_ROOT_UNTRUSTED')
})

test('removing a root takes effect on tokens that are out', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.set('acme/note/hello', 'x')
  const { token } = await fresh.attest(fresh.enclave())
  assert.equal((await fresh.get('acme/note/hello', token)).status, 200)
  const [root] = (await fresh.admin('GET', 'roots')).json.list as JsonObject[]
  await fresh.admin('DELETE', `roots/${root?.id}`)
  const answer = await fresh.get('acme/note/hello', token)
  assert.deepEqual([answer.status, answer.json.code], [403, 'RELEASE_ROOT'])
})

test('neither of the two signed documents falls back, whichever of them was the older', async () => {
  for (const [older, member] of [
    ['qeIdentity', 'tcbInfo'],
    ['tcbInfo', 'qeIdentity'],
  ] as const) {
    await using fresh = await KbsWorld.start()
    await fresh.trust()
    const before = object(parseJson(await fresh.platform.collateral()), 'collateral')
    await fresh.platform.rehearse({ tcb: 'out-of-date' })
    await fresh.platform.rehearse({ tcb: 'up-to-date' })
    const now = object(parseJson(await fresh.platform.collateral()), 'collateral')
    const mixed: JsonObject = { ...now, [older]: before[older] as string }
    assert.equal((await sendCollateral(fresh, mixed)).status, 200, 'nothing newer was seen')
    const back: JsonObject = { ...mixed, [member]: before[member] as string }
    const answer = await sendCollateral(fresh, back)
    assert.deepEqual(
      [answer.status, answer.json.code],
      [403, 'APPRAISE_COLLATERAL_ROLLBACK'],
      `${member} fell back`,
    )
  }
})

test('a stranger cannot fill the log: refusals beyond a limit are counted, not kept', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const { broker } = fresh.running
  const verdict = { code: 'APPRAISE_EVIDENCE', subject: 'x', claims: [], policyIds: [] }
  await Promise.all(Array.from({ length: 1024 }, () => broker.recordRefusal(verdict)))
  const size = (await broker.auditHead()).size
  const refused = await fresh.attest(fresh.enclave({ secs: { debug: true } }))
  assert.deepEqual([refused.status, refused.json.code], [403, 'APPRAISE_DEBUG'])
  assert.equal(refused.json.correlationId, undefined)
  assert.equal((await broker.auditHead()).size, size, 'nothing was written')
  assert.equal((await fresh.attest(fresh.enclave())).status, 200)
  const log = (await fresh.admin('GET', `audit?after=${size}`)).json.entries as JsonObject[]
  assert.match(String(log[0]?.text), /"unrecorded":1/)
  fresh.skew = 6000
  const later = await fresh.attest(fresh.enclave({ secs: { debug: true } }))
  assert.match(String(later.json.correlationId), /^[0-9a-f]{16}$/)
})

test('a machine that asks too often is refused before anything is released, and others are served', async () => {
  await using fresh = await KbsWorld.start()
  await using elsewhere = await KbsWorld.start()
  await fresh.trust()
  await fresh.set('acme/note/hello', 'x')
  const pem = elsewhere.platform.exportRoot()
  await fresh.admin('POST', 'roots', { json: { pem, platform: 'simulated' } })
  const { broker } = fresh.running
  const enclave = fresh.enclave()
  const { token } = await fresh.attest(enclave)
  // Nearly all that a machine may cause, at once.
  const { machine } = verifyToken(broker.authority, token, Date.now())
  const subject = 'x'.repeat(ALLOWANCE_BURST / 2 - 100_000)
  const verdict = { code: 'RELEASE_DENIED', subject, claims: [], policyIds: [] }
  await broker.recordFor(machine, 'release', verdict)
  let [asked, code]: [number, unknown] = [0, undefined]
  for (; code === undefined && asked < 1000; asked++) {
    const answer = await fresh.get('acme/note/hello', token)
    if (answer.status === 200) continue
    code = answer.json.code
    assert.equal(answer.status, 429)
    assert.equal(answer.json.ciphertext, undefined)
    assert.equal(answer.json.retryable, true)
  }
  assert.equal(code, 'KBS_RATE_LIMITED')
  assert.ok(asked > 10, 'it was served before')
  // Its refusals come out of the same allowance, and a new attestation is no new machine.
  const { size } = await broker.auditHead()
  assert.equal((await fresh.get('other/note/hello', token)).json.code, 'KBS_RATE_LIMITED')
  assert.equal((await fresh.attest(fresh.enclave())).json.code, 'KBS_RATE_LIMITED')
  assert.equal((await broker.auditHead()).size, size, 'nothing was written')
  // A stranger's refused evidence is of no machine, and is recorded as ever.
  const stranger = await fresh.attest(fresh.enclave({ secs: { debug: true } }))
  assert.match(String(stranger.json.correlationId), /^[0-9a-f]{16}$/)
  const [entry] = (await fresh.admin('GET', `audit?after=${size}`)).json.entries as JsonObject[]
  assert.match(String(entry?.text), /"limited":3/)
  // Another machine does not notice.
  const other = elsewhere.enclave({ initData: fresh.initData('acme') })
  const served = await fresh.attest(other)
  assert.equal(served.status, 200)
  assert.equal((await fresh.get('acme/note/hello', served.token)).status, 200)
  // It earns some with time.
  fresh.skew = 10_000
  assert.equal((await fresh.get('acme/note/hello', token)).status, 200)
})

test('each of two administrators is told of the version that he made', async () => {
  const versions = await Promise.all(
    Array.from({ length: 8 }, async (_, i) => {
      const body = new TextEncoder().encode('x'.repeat(i + 1))
      const { json } = await world.admin('PUT', 'resource/acme/note/race', { body })
      assert.equal(json.size, i + 1)
      return json.version
    }),
  )
  assert.equal(new Set(versions).size, 8)
})
