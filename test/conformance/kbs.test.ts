import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import {
  fromBase64,
  fromBase64Url,
  fromHex,
  fromUtf8,
  toBase64,
  toBase64Url,
  toHex,
  utf8,
} from '#lib/bytes'
import { CODES } from '#lib/errors'
import { array, type JsonObject, object, parseJson, string } from '#lib/json'
import { LAUNCH_DEFAULT } from '#lib/policy'
import { proveDecision } from '#protocol/kbs'
import { headHolds, parseHead, verifyLog } from '../../src/owner/kbs/audit.ts'
import {
  AGENT,
  type Answer,
  type EnclaveChange,
  KbsWorld,
  open,
  SIGNER,
} from '../support/kbs-world.ts'

const SECRET = 'the-secret-of-acme-4711'
const world = await KbsWorld.start()
after(() => world[Symbol.asyncDispose]())
await world.trust()
await world.set('acme/note/hello', SECRET)
await world.set('other/note/hello', 'not yours')

/** Expects a refusal in the form of the protocol, with our code, and returns it. */
function refused(answer: Answer, status: number, code: string, variant: string): JsonObject {
  assert.deepEqual([answer.status, answer.json.code], [status, code], JSON.stringify(answer.json))
  const type = `https://github.com/confidential-containers/kbs/errors/${variant}`
  assert.equal(answer.json.type, type)
  assert.ok(Object.hasOwn(CODES, code), `${code} is in the table of codes`)
  assert.equal(answer.headers['content-type'], 'application/json')
  assert.equal(answer.json.token, undefined)
  return answer.json
}

/** Expects evidence to be refused with this code, and returns the decision. */
async function refusedEvidence(change: EnclaveChange, code: string): Promise<JsonObject> {
  const problem = refused(await world.attest(world.enclave(change)), 403, code, 'AttestationError')
  assert.equal(problem.detail, 'Attestation error: RCAR handshake Attest failed')
  assert.equal(problem.retryable, false)
  const record = await world.explain(problem.correlationId)
  assert.deepEqual([record.kind, record.decision, record.code], ['appraise', 'deny', code])
  assert.equal(record.next, problem.next)
  return record
}

function claim(record: JsonObject, name: string): JsonObject {
  const found = array(record.claims, 'claims').find((c) => object(c, 'claim').name === name)
  return object(found, name)
}

test('an accepted enclave gets a token and reads its resource by cookie and by token', async () => {
  const enclave = world.enclave()
  const attested = await world.attest(enclave)
  assert.equal(attested.status, 200, JSON.stringify(attested.json))
  const byToken = await world.get('acme/note/hello', attested.token)
  assert.equal(await open(enclave, byToken), SECRET)
  const { cookie } = attested
  const byCookie = await world.ask('GET', 'resource/acme/note/hello', { headers: { cookie } })
  assert.equal(await open(enclave, byCookie), SECRET)
  assert.deepEqual(Object.keys(byCookie.json), [
    'protected',
    'encrypted_key',
    'iv',
    'ciphertext',
    'tag',
  ])
})

test('the challenge and its cookie have the form of protocol 0.4.0', async () => {
  const request = {
    version: '0.4.0',
    tee: 'sgx',
    'extra-params': { 'supported-hash-algorithms': ['sha384'] },
  }
  const answer = await world.ask('POST', 'auth', { json: request })
  assert.equal(answer.json['extra-params'], '')
  assert.equal(fromBase64(String(answer.json.nonce), 'nonce').length, 32)
  const [cookie = ''] = answer.headers['set-cookie'] ?? []
  assert.match(
    cookie,
    /^kbs-session-id=[0-9a-f]{32}; Expires=[^;]+ GMT; Path=\/kbs\/v0; HttpOnly; SameSite=Strict; Secure$/,
  )
})

test('the token is an EAR with the claims that other readers look for', async () => {
  const enclave = world.enclave()
  const { token } = await world.attest(enclave)
  const [head = '', body = ''] = token
    .split('.', 2)
    .map((part) => fromUtf8(Buffer.from(part, 'base64url'), 'part'))
  const header = object(parseJson(head), 'header')
  const jwk = object(header.jwk, 'jwk')
  assert.deepEqual(
    [header.typ, header.alg, jwk.kty, jwk.crv, jwk.alg],
    ['JWT', 'ES256', 'EC', 'P-256', 'ES256'],
  )
  assert.equal(array(jwk.x5c, 'x5c').length, 2)
  const claims = object(parseJson(body), 'claims')
  assert.equal(Number(claims.exp) - Number(claims.iat), 300)
  const cpu = object(object(claims.submods, 'submods').cpu0, 'cpu0')
  assert.equal(cpu['ear.status'], 'affirming')
  const evidence = object(cpu['ear.veraison.annotated-evidence'], 'evidence')
  const runtime = object(evidence.runtime_data_claims, 'runtime')
  assert.deepEqual(runtime['tee-pubkey'], enclave.teeKey)
  const sgx = object(evidence.sgx, 'sgx')
  assert.equal(object(sgx.body, 'body').mr_enclave, toHex(AGENT))
  assert.equal(sgx.platform, 'simulated')
  assert.ok(object(evidence.init_data_claims, 'claims')['enclave-cc.toml'])
})

test('a broker that trusts no root refuses every platform and says how to trust one', async () => {
  await using fresh = await KbsWorld.start()
  const answer = await fresh.attest(fresh.enclave())
  const problem = refused(answer, 403, 'APPRAISE_ROOT_UNTRUSTED', 'AttestationError')
  assert.match(String(problem.next), /kbs root add/)
  const record = await fresh.explain(problem.correlationId)
  assert.deepEqual(claim(record, 'root').expected, ['none is trusted yet'])
})

test('a root is trusted only as what it is', async () => {
  const pem = world.platform.exportRoot()
  const as = (platform: string) => world.admin('POST', 'roots', { json: { pem, platform } })
  refused(await as('sgx'), 400, 'ROOT_INVALID', 'AttestationError')
  refused(await as('any'), 400, 'ROOT_INVALID', 'AttestationError')
})

test('an unknown measurement is refused, with the closest reference and what differs', async () => {
  const record = await refusedEvidence(
    { secs: { mrEnclave: new Uint8Array(32).fill(9) } },
    'APPRAISE_MEASUREMENT',
  )
  assert.deepEqual(record.closestReference, { name: 'agent', differs: ['mrEnclave'] })
  assert.match(String(claim(record, 'mrEnclave').actual), /^0909/)
  assert.deepEqual(record.policyIds, [])
})

test('a debug enclave is refused by a rule that is named', async () => {
  const record = await refusedEvidence({ secs: { debug: true } }, 'APPRAISE_DEBUG')
  assert.deepEqual(record.policyIds, ['appraise-no-debug'])
  assert.deepEqual(
    [claim(record, 'debug').actual, claim(record, 'debug').expected],
    ['true', ['false']],
  )
})

test('an outdated or revoked platform is refused', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.platform.rehearse({ tcb: 'out-of-date' })
  const outdated = await fresh.attest(fresh.enclave())
  const problem = refused(outdated, 403, 'APPRAISE_TCB', 'AttestationError')
  assert.equal(claim(await fresh.explain(problem.correlationId), 'tcbStatus').actual, 'OutOfDate')
  await fresh.platform.rehearse({ tcb: 'revoked' })
  refused(await fresh.attest(fresh.enclave()), 403, 'APPRAISE_TCB', 'AttestationError')
  await fresh.platform.rehearse({ tcb: 'up-to-date', pck: 'revoked' })
  const revoked = await fresh.attest(fresh.enclave())
  refused(revoked, 403, 'APPRAISE_REVOKED', 'AttestationError')
  await fresh.platform.rehearse({ pck: 'valid' })
  assert.equal((await fresh.attest(fresh.enclave())).status, 200)
})

test('expired collateral is refused, and its claim says which part of it', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  for (const [collateral, part] of [
    ['expired', 'pck-crl'],
    ['crl-expired', 'pck-crl'],
    ['tcb-info-expired', 'tcb-info'],
    ['qe-identity-expired', 'qe-identity'],
  ] as const) {
    await fresh.platform.rehearse({ collateral })
    const answer = await fresh.attest(fresh.enclave())
    const problem = refused(answer, 403, 'APPRAISE_COLLATERAL_EXPIRED', 'AttestationError')
    assert.equal(claim(await fresh.explain(problem.correlationId), part).ok, false, collateral)
  }
  await fresh.platform.rehearse({ collateral: 'current' })
  assert.equal((await fresh.attest(fresh.enclave())).status, 200)
})

test('a grace takes collateral for days after its end, says so in the decision, and then no more', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const enclave = fresh.enclave()
  const { collateral } = await enclave.evidence(new Uint8Array(64))
  assert.ok(collateral)
  const kept = {
    ...enclave,
    evidence: async (data: Uint8Array) => ({ ...(await enclave.evidence(data)), collateral }),
  }
  const day = 86_400_000
  fresh.skew = 32 * day
  const expired = await fresh.attest(kept)
  refused(expired, 403, 'APPRAISE_COLLATERAL_EXPIRED', 'AttestationError')
  await fresh.running.close()
  await fresh.serve({ collateralGrace: 7 * day })
  const taken = await fresh.attest(kept)
  assert.equal(taken.status, 200, JSON.stringify(taken.json))
  const [, payload = ''] = taken.token.split('.')
  const { jti } = object(parseJson(fromBase64Url(payload, 'token')), 'token')
  assert.match(String(claim(await fresh.explain(jti), 'collateral-grace').actual), /^expired 20/)
  fresh.skew = 38 * day
  refused(await fresh.attest(kept), 403, 'APPRAISE_COLLATERAL_EXPIRED', 'AttestationError')
})

test('an enclave without init-data, or with other init-data than it shows, is refused', async () => {
  await refusedEvidence({ initData: null }, 'APPRAISE_INIT_DATA')
  const mine = world.initData('acme')
  const other = world.initData('other')
  const configId = new Uint8Array(64)
  configId.set(await digest(other))
  const record = await refusedEvidence({ initData: mine, secs: { configId } }, 'APPRAISE_INIT_DATA')
  assert.equal(claim(record, 'initData').actual, toHex(configId))
  await refusedEvidence(
    { initData: mine, secs: { configId: new Uint8Array(64) } },
    'APPRAISE_INIT_DATA',
  )
  await refusedEvidence({ initData: mine.replace('[data]', '[data]\nx = 1') }, 'APPRAISE_INIT_DATA')
})

test('init-data that names another broker is refused', async () => {
  const pin = `sha256/${toBase64(new Uint8Array(32))}`
  const record = await refusedEvidence(
    { initData: world.initData('acme', [pin]) },
    'APPRAISE_OTHER_BROKER',
  )
  assert.deepEqual(
    [claim(record, 'brokerPin').actual, claim(record, 'brokerPin').expected],
    [pin, [world.pin]],
  )
  assert.deepEqual(record.policyIds, ['appraise-this-broker'])
})

test('a nonce serves once, whatever came of it', async () => {
  const enclave = world.enclave()
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(enclave, nonce)
  const first = await world.ask('POST', 'attest', { json, headers: { cookie } })
  assert.equal(first.status, 200)
  const second = await world.ask('POST', 'attest', { json, headers: { cookie } })
  refused(second, 401, 'KBS_SESSION_UNKNOWN', 'AttestationError')

  const again = await world.auth()
  const forged = await world.attestation(world.enclave({ secs: { debug: true } }), again.nonce)
  const bad = await world.ask('POST', 'attest', { json: forged, headers: { cookie: again.cookie } })
  refused(bad, 403, 'APPRAISE_DEBUG', 'AttestationError')
  const good = await world.attestation(enclave, again.nonce)
  const late = await world.ask('POST', 'attest', { json: good, headers: { cookie: again.cookie } })
  refused(late, 401, 'KBS_SESSION_UNKNOWN', 'AttestationError')
})

test('of two attest requests at once on one session one is served', async () => {
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(world.enclave(), nonce)
  const both = await Promise.all(
    [1, 2].map(() => world.ask('POST', 'attest', { json, headers: { cookie } })),
  )
  assert.deepEqual(both.map(({ status }) => status).sort(), [200, 401])
})

test('evidence of an earlier session is of no use in a later one', async () => {
  const enclave = world.enclave()
  const old = await world.auth()
  const json = await world.attestation(enclave, old.nonce)
  const { nonce, cookie } = await world.auth()
  const asIs = await world.ask('POST', 'attest', { json, headers: { cookie } })
  refused(asIs, 401, 'KBS_SESSION_UNKNOWN', 'AttestationError')
  const next = await world.auth()
  const renamed = {
    ...json,
    'runtime-data': { ...object(json['runtime-data'], 'r'), nonce: next.nonce },
  }
  const replayed = await world.ask('POST', 'attest', {
    json: renamed,
    headers: { cookie: next.cookie },
  })
  refused(replayed, 403, 'APPRAISE_REPORT_DATA', 'AttestationError')
  assert.notEqual(nonce, next.nonce)
})

test('evidence vouches for one key: with another in its place it is refused', async () => {
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(world.enclave(), nonce)
  const runtime = { nonce, 'tee-pubkey': { ...world.enclave().teeKey } }
  const answer = await world.ask('POST', 'attest', {
    json: { ...json, 'runtime-data': runtime },
    headers: { cookie },
  })
  refused(answer, 403, 'APPRAISE_REPORT_DATA', 'AttestationError')
})

test('sessions end after five minutes', async () => {
  const enclave = world.enclave()
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(enclave, nonce)
  const attested = await world.attest(enclave)
  world.skew = 301_000
  try {
    const late = await world.ask('POST', 'attest', { json, headers: { cookie } })
    refused(late, 401, 'KBS_SESSION_UNKNOWN', 'AttestationError')
    const headers = { cookie: attested.cookie }
    const read = await world.ask('GET', 'resource/acme/note/hello', { headers })
    refused(read, 401, 'KBS_TOKEN_MISSING', 'TokenNotFound')
  } finally {
    world.skew = 0
  }
})

test('malformed requests are told what is wrong, and cost no session', async () => {
  const { nonce, cookie } = await world.auth()
  const json = await world.attestation(world.enclave(), nonce)
  const runtime = object(json['runtime-data'], 'r')
  const key = object(runtime['tee-pubkey'], 'k')
  const send = (change: JsonObject) =>
    world.ask('POST', 'attest', { json: { ...json, ...change }, headers: { cookie } })
  const withKey = (jwk: JsonObject) => send({ 'runtime-data': { nonce, 'tee-pubkey': jwk } })
  const offCurve = await withKey({ ...key, y: String(key.x) })
  assert.match(String(refused(offCurve, 400, 'KBS_REQUEST_INVALID', 'SerdeError').detail), /curve/)
  refused(await withKey({ ...key, kid: 'x' }), 400, 'KBS_REQUEST_INVALID', 'SerdeError')
  refused(await withKey({ ...key, alg: 'ECDH-ES' }), 400, 'KBS_REQUEST_INVALID', 'SerdeError')
  refused(await send({ 'runtime-data': {} }), 400, 'KBS_REQUEST_INVALID', 'SerdeError')
  const evidence = object(json['tee-evidence'], 'e')
  const devices = { ...evidence, additional_evidence: '{"tdx":{}}' }
  refused(await send({ 'tee-evidence': devices }), 400, 'KBS_TEE_UNSUPPORTED', 'AttestationError')
  const broken = await world.ask('POST', 'attest', {
    body: utf8('{"a":1,"a":2}'),
    headers: { cookie },
  })
  refused(broken, 400, 'KBS_REQUEST_INVALID', 'SerdeError')
  assert.equal((await send({})).status, 200)
})

test('evidence that cannot be read is refused like evidence that is false', async () => {
  for (const primary of [
    {},
    { quote: 'AA==' },
    { quote: 5 },
    { quote: toBase64(new Uint8Array(5000)) },
  ]) {
    const { nonce, cookie } = await world.auth()
    const json = await world.attestation(world.enclave(), nonce)
    const evidence = { primary_evidence: primary, additional_evidence: '' }
    const answer = await world.ask('POST', 'attest', {
      json: { ...json, 'tee-evidence': evidence },
      headers: { cookie },
    })
    refused(answer, 403, 'APPRAISE_EVIDENCE', 'AttestationError')
  }
})

test('a quote with any byte of its body changed is refused', async () => {
  for (const offset of [60, 112, 176, 240, 304, 368, 500]) {
    const { nonce, cookie } = await world.auth()
    const json = await world.attestation(world.enclave(), nonce)
    const evidence = object(json['tee-evidence'], 'e')
    const primary = object(evidence.primary_evidence, 'p')
    const quote = fromBase64(string(primary.quote, 'q'), 'q')
    quote[offset] = (quote[offset] ?? 0) ^ 1
    const changed = { ...evidence, primary_evidence: { ...primary, quote: toBase64(quote) } }
    const answer = await world.ask('POST', 'attest', {
      json: { ...json, 'tee-evidence': changed },
      headers: { cookie },
    })
    refused(answer, 403, 'APPRAISE_EVIDENCE', 'AttestationError')
  }
})

test('other versions and other TEEs are refused, not answered with a challenge', async () => {
  const auth = (change: JsonObject) =>
    world.ask('POST', 'auth', {
      json: { version: '0.4.0', tee: 'sgx', 'extra-params': '', ...change },
    })
  const old = refused(
    await auth({ version: '0.1.1' }),
    400,
    'KBS_PROTOCOL_VERSION',
    'AttestationError',
  )
  assert.equal(
    old.detail,
    'Attestation error: RCAR handshake Auth failed: KBS Client Protocol Version Mismatch: expect =0.4.0 while the request is 0.1.1',
  )
  refused(await auth({ tee: 'sample' }), 400, 'KBS_TEE_UNSUPPORTED', 'AttestationError')
  const without = await world.ask('POST', 'auth', { json: { version: '0.4.0', tee: 'sgx' } })
  refused(without, 400, 'KBS_REQUEST_INVALID', 'SerdeError')
})

test('a body over 2 MiB is refused, announced or not', async () => {
  const body = new Uint8Array(2 * 1024 * 1024 + 1)
  refused(await world.ask('POST', 'auth', { body }), 413, 'KBS_BODY_TOO_LARGE', 'SerdeError')
  const headers = { 'transfer-encoding': 'chunked' }
  const chunked = await world.ask('POST', 'auth', { body, headers })
  refused(chunked, 413, 'KBS_BODY_TOO_LARGE', 'SerdeError')
})

test('old collateral is refused once newer was seen, also after a restart', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const before = object(parseJson(await fresh.platform.collateral()), 'collateral')
  await fresh.platform.rehearse({ tcb: 'out-of-date' })
  await fresh.platform.rehearse({ tcb: 'up-to-date' })
  const send = async (collateral?: JsonObject) => {
    const { nonce, cookie } = await fresh.auth()
    const json = await fresh.attestation(fresh.enclave(), nonce)
    const evidence = object(json['tee-evidence'], 'e')
    const primary = object(evidence.primary_evidence, 'p')
    const changed = {
      ...evidence,
      primary_evidence: { ...primary, ...(collateral && { collateral }) },
    }
    return fresh.ask('POST', 'attest', {
      json: { ...json, 'tee-evidence': changed },
      headers: { cookie },
    })
  }
  assert.equal((await send(before)).status, 200, 'good as long as nothing newer was seen')
  assert.equal((await send()).status, 200)
  const old = refused(await send(before), 403, 'APPRAISE_COLLATERAL_ROLLBACK', 'AttestationError')
  assert.ok(old.correlationId)
  await fresh.running.close()
  await fresh.serve()
  refused(await send(before), 403, 'APPRAISE_COLLATERAL_ROLLBACK', 'AttestationError')
  assert.equal((await send()).status, 200)
})

test('a token that this broker did not sign for itself is refused', async () => {
  const { token } = await world.attest(world.enclave())
  const [head = '', body = '', signature = ''] = token.split('.')
  const claims = object(parseJson(fromBase64Url(body, 'b')), 'claims')
  const encode = (value: unknown) => toBase64Url(utf8(JSON.stringify(value)))
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = { ...pair.publicKey.export({ format: 'jwk' }), alg: 'ES256' }
  const selfSigned = (payload: string) => {
    const signed = `${encode({ typ: 'JWT', alg: 'ES256', jwk })}.${payload}`
    const key = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
    return `${signed}.${toBase64Url(sign('sha256', utf8(signed), key))}`
  }
  await using other = await KbsWorld.start()
  await other.trust()
  const foreign = (await other.attest(other.enclave())).token
  const forgeries = {
    'its own header vouches for it': selfSigned(body),
    'no algorithm': `${encode({ typ: 'JWT', alg: 'none' })}.${body}.`,
    'a MAC under the public key': `${encode({ typ: 'JWT', alg: 'HS256' })}.${body}.${signature}`,
    'another payload under the signature': `${head}.${encode({ ...claims, exp: 9e9 })}.${signature}`,
    'another broker': foreign,
    'cut short': token.slice(0, -4),
    'four parts': `${token}.x`,
  }
  for (const [name, forged] of Object.entries(forgeries)) {
    const answer = await world.get('acme/note/hello', forged)
    assert.equal(answer.status, 401, name)
    refused(answer, 401, 'KBS_TOKEN_INVALID', 'TokenVerifierError')
  }
  assert.equal((await world.get('acme/note/hello', token)).status, 200)
})

test('a token ends', async () => {
  const { token } = await world.attest(world.enclave())
  world.skew = 310_000
  try {
    const answer = await world.get('acme/note/hello', token)
    refused(answer, 401, 'KBS_TOKEN_INVALID', 'TokenVerifierError')
  } finally {
    world.skew = 0
  }
})

test('a token outranks the cookie of a session, and none at all is 401', async () => {
  const enclave = world.enclave()
  const { token, cookie } = await world.attest(enclave)
  const stale = { cookie: 'kbs-session-id=00000000000000000000000000000000' }
  const headers = { ...stale, authorization: `Bearer ${token}` }
  const good = await world.ask('GET', 'resource/acme/note/hello', { headers })
  assert.equal(await open(enclave, good), SECRET)
  const bad = await world.ask('GET', 'resource/acme/note/hello', {
    headers: { cookie, authorization: 'Bearer x' },
  })
  refused(bad, 401, 'KBS_TOKEN_INVALID', 'TokenVerifierError')
  const none = await world.ask('GET', 'resource/acme/note/hello')
  refused(none, 401, 'KBS_TOKEN_MISSING', 'TokenNotFound')
  const open1 = await world.auth()
  const unattested = await world.ask('GET', 'resource/acme/note/hello', {
    headers: { cookie: open1.cookie },
  })
  refused(unattested, 401, 'KBS_TOKEN_MISSING', 'TokenNotFound')
})

test('an enclave does not leave its namespace, and does not learn what is there', async () => {
  const { token } = await world.attest(world.enclave())
  for (const path of ['other/note/hello', 'other/note/nothing']) {
    const problem = refused(await world.get(path, token), 403, 'RELEASE_NAMESPACE', 'PolicyDeny')
    assert.equal(problem.detail, 'Access denied by policy')
    const record = await world.explain(problem.correlationId)
    assert.deepEqual(
      [claim(record, 'namespace').expected, claim(record, 'namespace').actual],
      [['other'], 'acme'],
    )
  }
})

test('an enclave does not leave its namespace even where a policy would let it', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.set('other/note/hello', 'not yours')
  const body = utf8('@id("all") permit (principal, action, resource);')
  assert.equal((await fresh.admin('PUT', 'policies/release', { body })).status, 200)
  const { token } = await fresh.attest(fresh.enclave())
  refused(await fresh.get('other/note/hello', token), 403, 'RELEASE_NAMESPACE', 'PolicyDeny')
})

test('a missing resource is not an authentication failure', async () => {
  const { token } = await world.attest(world.enclave())
  const problem = refused(
    await world.get('acme/note/nothing', token),
    404,
    'RESOURCE_NOT_FOUND',
    'PluginInternalError',
  )
  assert.equal(problem.retryable, false)
  refused(
    await world.get('acme/note/.hidden', token),
    400,
    'RESOURCE_URI_INVALID',
    'InvalidRequestPath',
  )
  refused(await world.get('acme/note', token), 400, 'RESOURCE_URI_INVALID', 'InvalidRequestPath')
})

test('a namespace without launch policy gets the default one', async () => {
  const enclave = world.enclave({ namespace: 'empty' })
  const { token } = await world.attest(enclave)
  const answer = await world.get('empty/launch-policy/default', token)
  assert.equal(await open(enclave, answer), LAUNCH_DEFAULT)
  const none = await world.get('empty/security-policy/default', token)
  refused(none, 404, 'RESOURCE_NOT_FOUND', 'PluginInternalError')
})

test('removing a reference value takes effect on tokens that are out', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.set('acme/note/hello', 'x')
  const { token } = await fresh.attest(fresh.enclave())
  assert.equal((await fresh.get('acme/note/hello', token)).status, 200)
  await fresh.admin('DELETE', 'references/agent')
  refused(await fresh.get('acme/note/hello', token), 403, 'RELEASE_MEASUREMENT', 'PolicyDeny')
})

test('the init enclave of a trusted signer does not read resources', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.set('acme/note/hello', 'x')
  const init = { mrEnclave: new Uint8Array(32).fill(7), isvProdId: 2 }
  const answer = await fresh.attest(fresh.enclave({ secs: init }))
  refused(answer, 403, 'APPRAISE_MEASUREMENT', 'AttestationError')
  // Even an owner who registers its product as an agent does not let it in.
  const json = { mrSigner: toHex(SIGNER), isvProdId: 2, minIsvSvn: 0 }
  await fresh.admin('PUT', 'references/mistake', { json })
  const { token } = await fresh.attest(fresh.enclave({ secs: init }))
  const problem = refused(
    await fresh.get('acme/note/hello', token),
    403,
    'RELEASE_DENIED',
    'PolicyDeny',
  )
  assert.deepEqual((await fresh.explain(problem.correlationId)).policyIds, ['release-not-init'])
})

test('a signer reference lets in later versions and no earlier ones', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  await fresh.admin('DELETE', 'references/agent')
  const json = { mrSigner: toHex(SIGNER), isvProdId: 1, minIsvSvn: 3 }
  await fresh.admin('PUT', 'references/signer', { json })
  assert.equal((await fresh.attest(fresh.enclave({ secs: { isvSvn: 3 } }))).status, 200)
  const old = await fresh.attest(fresh.enclave({ secs: { isvSvn: 2 } }))
  const problem = refused(old, 403, 'APPRAISE_MEASUREMENT', 'AttestationError')
  const { closestReference } = await fresh.explain(problem.correlationId)
  assert.deepEqual(closestReference, { name: 'signer', differs: ['isvSvn'] })
  const alone = await fresh.admin('PUT', 'references/any', { json: { mrSigner: toHex(SIGNER) } })
  refused(alone, 400, 'REFERENCE_INVALID', 'RvpsError')
})

test('a policy that errs refuses, and a policy that tolerates is named in the decision', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const set = (text: string) => fresh.admin('PUT', 'policies/appraise', { body: utf8(text) })
  const erring = `@id("all") permit (principal, action, resource);
    @id("broken") forbid (principal, action, resource) when { principal.isvSvn + 9223372036854775807 < 5 };`
  assert.equal((await set(erring)).status, 200)
  refused(await fresh.attest(fresh.enclave()), 403, 'POLICY_ERROR', 'PolicyDeny')
  assert.equal((await set('@id("lenient") permit (principal, action, resource);')).status, 200)
  const debug = await fresh.attest(fresh.enclave({ secs: { debug: true } }))
  assert.equal(debug.status, 200, JSON.stringify(debug.json))
  const [, body = ''] = debug.token.split('.')
  const { jti } = object(parseJson(fromBase64Url(body, 'b')), 'claims')
  const record = await fresh.explain(jti)
  assert.deepEqual(claim(record, 'debug'), {
    name: 'debug',
    expected: ['lenient'],
    actual: 'true',
    ok: true,
  })
})

test('no policy, however lenient, lets false evidence or false init-data through', async () => {
  await using fresh = await KbsWorld.start()
  await fresh.trust()
  const body = utf8('@id("lenient") permit (principal, action, resource);')
  assert.equal((await fresh.admin('PUT', 'policies/appraise', { body })).status, 200)
  const without = await fresh.attest(fresh.enclave({ initData: null }))
  assert.equal(without.status, 200, 'none at all is for the policy to judge')
  const other = new Uint8Array(64).fill(1)
  const lying = await fresh.attest(fresh.enclave({ secs: { configId: other } }))
  refused(lying, 403, 'APPRAISE_INIT_DATA', 'AttestationError')
  const { nonce, cookie } = await fresh.auth()
  const json = await fresh.attestation(fresh.enclave(), nonce)
  const runtime = { nonce, 'tee-pubkey': { ...fresh.enclave().teeKey } }
  const swapped = { json: { ...json, 'runtime-data': runtime }, headers: { cookie } }
  const answer = await fresh.ask('POST', 'attest', swapped)
  refused(answer, 403, 'APPRAISE_REPORT_DATA', 'AttestationError')
})

test('what is set as a policy is checked at once, with line and column', async () => {
  const body = utf8('\n@id("a") permit (principal, action, resource) when { principal.nope };')
  for (const path of ['policies/launch', 'resource/acme/launch-policy/default']) {
    const answer = await world.admin('PUT', path, { body })
    const problem = refused(answer, 400, 'POLICY_INVALID', 'ParsePolicyError')
    assert.match(String(problem.detail), /line 2, column 54/)
  }
  assert.equal((await world.admin('GET', 'policies/launch')).json.default, true)
})

test('only a known, unexpired admin token of the right role administrates', async () => {
  const none = await world.ask('GET', 'admin/status')
  refused(none, 401, 'KBS_ADMIN_DENIED', 'AdminAuthAccess')
  refused(
    await world.admin('GET', 'status', {}, 'ecc-admin-wrong'),
    401,
    'KBS_ADMIN_DENIED',
    'AdminAuthAccess',
  )
  const { token } = await world.attest(world.enclave())
  const asEnclave = await world.ask('PUT', 'admin/resource/acme/note/x', {
    headers: { authorization: `Bearer ${token}` },
  })
  refused(asEnclave, 401, 'KBS_ADMIN_DENIED', 'AdminAuthAccess')
  const created = await world.admin('POST', 'tokens', { json: { role: 'auditor', ttlSeconds: 60 } })
  const auditor = String(created.json.token)
  assert.equal((await world.admin('GET', 'status', {}, auditor)).status, 200)
  for (const [method, path] of [
    ['PUT', 'resource/acme/note/x'],
    ['GET', 'resource/acme/note/hello'],
    ['DELETE', 'references/agent'],
    ['POST', 'tokens'],
    ['PUT', 'policies/launch'],
  ] as const) {
    const answer = await world.admin(method, path, {}, auditor)
    refused(answer, 401, 'KBS_ADMIN_DENIED', 'AdminAuthAccess')
  }
  world.skew = 61_000
  const late = await world.admin('GET', 'status', {}, auditor)
  world.skew = 0
  refused(late, 401, 'KBS_ADMIN_DENIED', 'AdminAuthAccess')
})

test("upstream's admin routes for resources work, those for Rego are not there", async () => {
  const headers = { authorization: `Bearer ${world.adminToken}` }
  const path = 'resource/acme/note/upstream'
  const set = await world.ask('POST', path, { headers, body: utf8('v') })
  assert.deepEqual([set.status, set.headers['content-type'], set.body.length], [200, 'text/xml', 0])
  assert.equal((await world.ask('DELETE', path, { headers })).status, 200)
  refused(
    await world.ask('POST', path, { body: utf8('v') }),
    401,
    'KBS_ADMIN_DENIED',
    'AdminAuthAccess',
  )
  for (const route of [
    'resource-policy',
    'attestation-policy',
    'reference-value',
    'nebula-ca/credential',
  ]) {
    refused(
      await world.ask('POST', route, { headers, json: {} }),
      404,
      'KBS_ROUTE_UNKNOWN',
      'PluginNotFound',
    )
  }
})

test('resources have history, roll back, and can be created without overwriting', async () => {
  const path = 'acme/note/versions'
  await world.set(path, 'one')
  await world.set(path, 'two')
  const create = await world.admin('PUT', `resource/${path}`, {
    body: utf8('x'),
    headers: { 'if-none-match': '*' },
  })
  refused(create, 409, 'RESOURCE_EXISTS', 'PluginInternalError')
  const back = await world.admin('POST', `rollback/${path}`, { json: { version: 1 } })
  assert.deepEqual([back.json.version, back.json.size], [3, 3])
  const now = await world.admin('GET', `resource/${path}`)
  assert.equal(fromUtf8(fromBase64(String(now.json.value), 'v'), 'v'), 'one')
  const history = array((await world.admin('GET', `history/${path}`)).json.list, 'history')
  assert.equal(history.length, 3)
  const unknown = await world.admin('POST', `rollback/${path}`, { json: { version: 9 } })
  refused(unknown, 404, 'RESOURCE_VERSION_NOT_FOUND', 'PluginInternalError')
})

test('an agent reports its launch decision, and the owner reads it under its id', async () => {
  const enclave = world.enclave()
  const { token } = await world.attest(enclave)
  const report = {
    decision: 'deny',
    code: 'IMAGE_UNSIGNED',
    subject: 'r.example/app@sha256:00',
    claims: [{ name: 'signature', expected: ['k1'], actual: 'none', ok: false }],
    policyIds: [],
    next: 'sign it',
  }
  const body = utf8(JSON.stringify(report))
  const headers = { authorization: `Bearer ${token}` }
  const proof = proveDecision(enclave.privateKey, token, body)
  const proven = { ...headers, 'enclave-cc-proof': proof }
  const { id } = (await world.ask('POST', 'enclave-cc/decisions', { body, headers: proven })).json
  const record = await world.explain(id)
  assert.deepEqual(
    [record.kind, record.decision, record.code, record.next],
    ['launch', 'deny', 'IMAGE_UNSIGNED', 'sign it'],
  )
  assert.match(String(record.subject), /reported by enclave a1a1/)
  const without = await world.ask('POST', 'enclave-cc/decisions', { json: report })
  refused(without, 401, 'KBS_TOKEN_MISSING', 'TokenNotFound')
  // A host that saw the token (`attest` prints it) reports what never happened.
  const { token: later } = await world.attest(enclave)
  const other = proveDecision(world.enclave().privateKey, token, body)
  const forged = utf8(JSON.stringify({ ...report, decision: 'allow' }))
  for (const [sent, headers] of [
    [body, { authorization: `Bearer ${token}` }],
    [body, { authorization: `Bearer ${token}`, 'enclave-cc-proof': other }],
    [body, { authorization: `Bearer ${later}`, 'enclave-cc-proof': proof }],
    [forged, { authorization: `Bearer ${token}`, 'enclave-cc-proof': proof }],
  ] as const) {
    const answer = await world.ask('POST', 'enclave-cc/decisions', { body: sent, headers })
    refused(answer, 403, 'KBS_PROOF_INVALID', 'AttestationError')
  }
  refused(
    await world.admin('GET', 'decisions/0000'),
    404,
    'DECISION_NOT_FOUND',
    'PluginInternalError',
  )
})

test('the audit log is one chain, and a head that travelled with a release shows a cut tail', async () => {
  const { token, headers } = await world.attest(world.enclave())
  const answer = await world.get('acme/note/hello', token)
  const kept = parseHead(
    parseJson(fromBase64Url(String(answer.headers['enclave-cc-audit-head']), 'head')),
  )
  assert.ok(headers['enclave-cc-audit-head'])
  assert.ok(headHolds(world.running.broker.parts.keys.audit.publicKey, kept))
  const entries: { text: string; hash: Uint8Array }[] = []
  for (;;) {
    const page = (await world.admin('GET', `audit?after=${entries.length}`)).json
    const more = array(page.entries, 'entries').map((e) => object(e, 'entry'))
    if (more.length === 0) break
    entries.push(...more.map((e) => ({ text: String(e.text), hash: fromHex(String(e.hash), 'h') })))
  }
  assert.equal(verifyLog(entries, [kept]).ok, true)
  const cut = verifyLog(entries.slice(0, kept.size - 1), [kept])
  assert.deepEqual([cut.ok, cut.firstBad], [false, kept.size])
  assert.equal(
    verifyLog(entries.slice(0, kept.size - 1), []).ok,
    true,
    'a chain alone does not show it',
  )
  const changed = entries.map((e, i) => (i === 2 ? { ...e, text: e.text.replace('"', ' "') } : e))
  assert.deepEqual([verifyLog(changed, []).ok, verifyLog(changed, []).firstBad], [false, 3])
  const swapped = [...entries.slice(0, 1), ...entries.slice(2)]
  assert.equal(verifyLog(swapped, []).firstBad, 2)
  assert.equal(
    headHolds(world.running.broker.parts.keys.audit.publicKey, { ...kept, size: kept.size - 1 }),
    false,
  )
})

test('metrics and health need no token and name no resource', async () => {
  const text = async (path: string) =>
    fromUtf8((await world.ask('GET', `../../${path}`)).body, 'text')
  assert.equal(await text('healthz'), '')
  const metrics = await text('metrics')
  assert.match(metrics, /kbs_decisions_total\{kind="appraise",decision="allow"\} \d+/)
  assert.doesNotMatch(metrics, /hello/)
})

test('no secret, token or admin token is in the log, the audit log, a decision or the database', async () => {
  const { token } = await world.attest(world.enclave())
  await world.get('acme/note/hello', token)
  await world.running.close()
  const files = ['kbs.db', 'broker.json'].map((f) => readFileSync(join(world.dataDir, f), 'latin1'))
  await world.serve()
  const haystack = [...files, ...world.logged].join('\n')
  assert.ok(haystack.includes('resource-set'), 'the detector reads what it should')
  assert.ok(haystack.includes('kbs:///acme/note/hello'))
  for (const needle of [
    SECRET,
    toBase64(utf8(SECRET)),
    world.adminToken,
    token.split('.')[2] ?? '',
  ]) {
    assert.equal(haystack.includes(needle), false)
  }
  assert.equal(
    (await world.admin('GET', 'resource/acme/note/hello')).json.value,
    toBase64(utf8(SECRET)),
  )
})

async function digest(text: string): Promise<Uint8Array> {
  const { initDataDigest } = await import('#lib/initdata')
  return initDataDigest(text)
}
