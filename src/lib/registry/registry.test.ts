import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64, utf8 } from '#lib/bytes'
import { HttpError, type HttpRequest, type HttpResponse, type Transport } from '#lib/http'
import { digestOf, MEDIA_TYPES } from '#lib/oci'
import {
  broken,
  reply,
  TestRegistry,
  type TestRegistryOptions,
} from '../../../test/support/registry.ts'
import { parseChallenges } from './challenge.ts'
import {
  type Credential,
  createRegistryClient,
  findCredential,
  parseAuthFile,
  parseCredential,
  type RegistryClient,
  type RegistryClientOptions,
} from './index.ts'
import { nextLink } from './location.ts'
import { retryDelay } from './retry.ts'

const NAME = 'team/app'
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value))

interface Setup {
  readonly registry: TestRegistry
  readonly client: RegistryClient
  readonly slept: number[]
}

function setup(
  options: TestRegistryOptions = {},
  extra: Partial<RegistryClientOptions> = {},
): Setup {
  const registry = new TestRegistry(options)
  const slept: number[] = []
  const client = createRegistryClient({
    host: new URL(registry.origin).host,
    plainHttp: registry.origin.startsWith('http:'),
    repository: NAME,
    transport: registry.transport,
    clock: {
      now: () => 1_000_000,
      random: () => 0.5,
      sleep: async (milliseconds) => {
        slept.push(milliseconds)
      },
    },
    ...extra,
  })
  return { registry, client, slept }
}

async function read(source: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(part)
  return new Uint8Array(Buffer.concat(parts))
}

async function* stream(...parts: Uint8Array[]): AsyncGenerator<Uint8Array, void, undefined> {
  yield* parts
}

function pattern(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, i) => (i * 31) % 251)
}

function addImage(registry: TestRegistry, tag?: string): { digest: string; bytes: Uint8Array } {
  const layer = utf8('layer')
  const config = utf8('{}')
  const bytes = json({
    schemaVersion: 2,
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: MEDIA_TYPES.ociConfig,
      digest: registry.addBlob(NAME, config),
      size: config.length,
    },
    layers: [
      {
        mediaType: MEDIA_TYPES.ociLayerTar,
        digest: registry.addBlob(NAME, layer),
        size: layer.length,
      },
    ],
  })
  return { bytes, digest: registry.addManifest(NAME, bytes, MEDIA_TYPES.ociManifest, tag) }
}

test('a manifest is named by its exact bytes, by tag and by digest', async () => {
  const { registry, client } = setup()
  const { digest, bytes } = addImage(registry, 'v1')
  for (const name of ['v1', digest]) {
    const found = await client.manifest(name)
    assert.equal(found.digest, digest)
    assert.deepEqual(found.bytes, bytes)
  }
  assert.equal(await client.findManifest('v2'), undefined)
  await assert.rejects(client.manifest('v2'), { code: 'REGISTRY_NOT_FOUND' })
  await assert.rejects(client.manifest('../v2'), TypeError)
})

test('a manifest with another digest than asked for, or than announced, is refused', async () => {
  const { registry, client } = setup()
  const { digest, bytes } = addImage(registry, 'v1')
  const changed = Uint8Array.from([...bytes, 0x20])
  registry.intercept = () => reply(200, { 'content-type': MEDIA_TYPES.ociManifest }, changed)
  await assert.rejects(client.manifest(digest), { code: 'IMAGE_DIGEST_MISMATCH' })
  assert.equal((await client.manifest('v1')).digest, digestOf(changed))
  registry.intercept = () =>
    reply(
      200,
      { 'content-type': MEDIA_TYPES.ociManifest, 'docker-content-digest': digest },
      changed,
    )
  await assert.rejects(client.manifest('v1'), { code: 'IMAGE_DIGEST_MISMATCH' })
})

test('a listed manifest must have size, digest and type of its entry', async () => {
  const { registry, client } = setup()
  const { digest, bytes } = addImage(registry)
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest, size: bytes.length }
  assert.equal((await client.listedManifest(entry)).digest, digest)
  await assert.rejects(client.listedManifest({ ...entry, size: bytes.length + 1 }), {
    code: 'IMAGE_SIZE_MISMATCH',
  })
  const wrongType = { ...entry, mediaType: MEDIA_TYPES.dockerManifest }
  await assert.rejects(client.listedManifest(wrongType), { code: 'IMAGE_MANIFEST_AMBIGUOUS' })
  // Without a type of its own, the document is what the carriers say; they must agree.
  const bare = json({ ...JSON.parse(Buffer.from(bytes).toString()), mediaType: undefined })
  const bareDigest = registry.addManifest(NAME, bare, MEDIA_TYPES.ociManifest)
  const dockerEntry = {
    mediaType: MEDIA_TYPES.dockerManifest,
    digest: bareDigest,
    size: bare.length,
  }
  await assert.rejects(client.listedManifest(dockerEntry), { code: 'IMAGE_MANIFEST_AMBIGUOUS' })
})

test('hostile manifests are refused: two kinds in one, members twice, endless, encoded', async () => {
  const { registry, client } = setup()
  const type = { 'content-type': MEDIA_TYPES.ociManifest }
  const { bytes } = addImage(registry)
  const text = Buffer.from(bytes).toString()
  const rows: [HttpResponse, string][] = [
    [reply(200, type, utf8(text.replace('{', '{"manifests":[],'))), 'IMAGE_MANIFEST_AMBIGUOUS'],
    [reply(200, { 'content-type': MEDIA_TYPES.ociIndex }, bytes), 'IMAGE_MANIFEST_AMBIGUOUS'],
    [reply(200, type, utf8(text.replace('{', '{"layers":[],'))), 'IMAGE_MANIFEST_INVALID'],
    [
      reply(200, type, utf8(text.replace(/sha256:[0-9a-f]+/, (d) => d.toUpperCase()))),
      'IMAGE_DIGEST_INVALID',
    ],
    [reply(200, type, new Uint8Array(4 * 1024 * 1024 + 1)), 'REGISTRY_RESPONSE_INVALID'],
    [reply(200, { ...type, 'content-encoding': 'gzip' }, bytes), 'REGISTRY_RESPONSE_INVALID'],
    [reply(200, { 'content-type': 'text/html' }, utf8('<html>')), 'IMAGE_MANIFEST_INVALID'],
    [
      reply(
        200,
        { 'content-type': 'application/vnd.docker.distribution.manifest.v1+json' },
        utf8('{"schemaVersion":1}'),
      ),
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
    ],
  ]
  for (const [response, code] of rows) {
    registry.intercept = () => response
    await assert.rejects(client.manifest('v1'), { code })
  }
})

test('a blob passes if it is the named one, and only then', async () => {
  const { registry, client } = setup()
  const content = pattern(200_000)
  const digest = registry.addBlob(NAME, content)
  const name = { digest, size: content.length }
  assert.deepEqual(await read(client.blob(name)), content)
  const rows: [Uint8Array, string][] = [
    [Uint8Array.from([...content, 0]), 'IMAGE_SIZE_MISMATCH'],
    [content.subarray(0, -1), 'IMAGE_SIZE_MISMATCH'],
    [content.map((byte, i) => (i === 100_000 ? byte ^ 1 : byte)), 'IMAGE_DIGEST_MISMATCH'],
    [new Uint8Array(), 'IMAGE_SIZE_MISMATCH'],
  ]
  for (const [body, code] of rows) {
    registry.intercept = () => reply(200, {}, body)
    await assert.rejects(read(client.blob(name)), { code })
  }
  registry.intercept = () => reply(200, { 'content-encoding': 'gzip' }, content)
  await assert.rejects(read(client.blob(name)), { code: 'REGISTRY_RESPONSE_INVALID' })
  assert.throws(() => client.blob({ digest: '../../etc', size: 1 }), {
    code: 'IMAGE_DIGEST_INVALID',
  })
})

test('inline data is used without a request, and checked', async () => {
  const { registry, client } = setup()
  const data = utf8('{}')
  assert.deepEqual(await read(client.blob({ digest: digestOf(data), size: 2, data })), data)
  assert.equal(registry.seen.length, 0)
  await assert.rejects(read(client.blob({ digest: digestOf(utf8('x')), size: 2, data })), {
    code: 'IMAGE_DIGEST_MISMATCH',
  })
})

test('a broken connection is taken up with Range, and the hash runs on', async () => {
  const { registry, client } = setup()
  const content = pattern(200_000)
  const name = { digest: registry.addBlob(NAME, content), size: content.length }
  let first = true
  const breakOnce = (body: Uint8Array): void => {
    first = true
    registry.intercept = () => {
      if (!first) return undefined
      first = false
      return broken(200, {}, body)
    }
  }
  breakOnce(content.subarray(0, 70_000))
  assert.deepEqual(await read(client.blob(name)), content)
  // A server that goes on with other bytes than it began with is found out at the end.
  breakOnce(content.subarray(0, 70_000).map((byte) => byte ^ 1))
  await assert.rejects(read(client.blob(name)), { code: 'IMAGE_DIGEST_MISMATCH' })
})

test('a 206 that starts elsewhere is refused; a 200 or 416 is used from where we were', async () => {
  const { registry, client } = setup()
  const content = pattern(200_000)
  const name = { digest: registry.addBlob(NAME, content), size: content.length }
  const second = (answer: (request: HttpRequest) => HttpResponse | undefined): void => {
    let first = true
    registry.intercept = (request) => {
      if (!first) return answer(request)
      first = false
      return broken(200, {}, content.subarray(0, 70_000))
    }
  }
  for (const range of ['bytes 69999-199999/200000', 'bytes 70000-200000/200001', '', 'bytes */1']) {
    second(() => reply(206, { 'content-range': range }, content.subarray(70_000)))
    await assert.rejects(read(client.blob(name)), { code: 'REGISTRY_RESPONSE_INVALID' }, range)
  }
  second(() => reply(200, {}, content))
  assert.deepEqual(await read(client.blob(name)), content)
  second((request) => (request.headers.range === undefined ? reply(200, {}, content) : reply(416)))
  assert.deepEqual(await read(client.blob(name)), content)
})

test('a server that always breaks without progress ends the read', async () => {
  const { registry, client } = setup()
  const content = pattern(200_000)
  const name = { digest: registry.addBlob(NAME, content), size: content.length }
  registry.intercept = async (request, answer) => {
    const start = Number(/=(\d+)-/.exec(request.headers.range ?? '=0-')?.[1])
    const whole = await answer()
    return broken(
      whole.status,
      whole.headers as Record<string, string>,
      content.subarray(start, start + 10),
    )
  }
  await assert.rejects(read(client.blob(name)), { code: 'NETWORK_BROKEN' })
  assert.equal(registry.seen.length, 2)
})

const TOKENS = { realm: 'https://auth.example/token', accounts: { me: 'secret' } }
const ME: Credential = { kind: 'password', username: 'me', password: 'secret' }

test('a Bearer challenge is answered with a token, which is used again', async () => {
  const { registry, client } = setup({ tokens: TOKENS }, { credential: ME })
  addImage(registry, 'v1')
  await client.manifest('v1')
  await client.manifest('v1')
  const tokenRequests = registry.seen.filter(({ url }) => url.startsWith(TOKENS.realm))
  assert.equal(tokenRequests.length, 1)
  const url = new URL(tokenRequests[0]?.url ?? '')
  assert.equal(url.searchParams.get('service'), 'test, quoted')
  assert.equal(url.searchParams.get('scope'), `repository:${NAME}:pull`)
  assert.equal(url.searchParams.get('account'), 'me')
  const basic = `Basic ${toBase64(utf8('me:secret'))}`
  for (const { url, authorization } of registry.seen) {
    // The password goes to the token server only, the token to the registry only.
    assert.equal(authorization === basic, url.startsWith(TOKENS.realm))
  }
})

test('a token is asked for anonymously without credentials, and anew when it is old', async () => {
  let now = 0
  const clock = { now: () => now, random: () => 0, sleep: async () => {} }
  const { registry, client } = setup({ tokens: { ...TOKENS, accounts: {} } }, { clock })
  addImage(registry, 'v1')
  await client.manifest('v1')
  now = 239_000
  await client.manifest('v1')
  assert.equal(registry.seen.filter(({ url }) => url.startsWith(TOKENS.realm)).length, 1)
  now = 241_000
  await client.manifest('v1')
  assert.equal(registry.seen.filter(({ url }) => url.startsWith(TOKENS.realm)).length, 2)
})

test('address rules are strict for token servers that only the registry named', async () => {
  const strictness = async (extra: Partial<RegistryClientOptions>): Promise<boolean[]> => {
    const { registry, client } = setup({ tokens: TOKENS }, { credential: ME, ...extra })
    addImage(registry, 'v1')
    await client.manifest('v1')
    return [
      ...new Set(
        registry.seen.map(({ url, redirected }) => {
          assert.ok(url.startsWith(TOKENS.realm) || !redirected)
          return redirected
        }),
      ),
    ]
  }
  assert.deepEqual(await strictness({}), [false, true])
  assert.deepEqual(await strictness({ allowRealm: () => true }), [false])
})

test('an identity token goes by POST; wrong credentials are REGISTRY_UNAUTHORIZED', async () => {
  const identity: Credential = { kind: 'identity-token', token: 'identity' }
  const first = setup({ tokens: TOKENS }, { credential: identity })
  addImage(first.registry, 'v1')
  await first.client.manifest('v1')
  assert.ok(first.registry.seen.some(({ method }) => method === 'POST'))
  for (const credential of [{ ...ME, password: 'wrong' }, { ...identity, token: 'x' }, undefined]) {
    const { registry, client } = setup({ tokens: TOKENS }, { credential })
    addImage(registry, 'v1')
    await assert.rejects(client.manifest('v1'), (error: Error & { code?: string }) => {
      assert.equal(error.code, 'REGISTRY_UNAUTHORIZED')
      assert.doesNotMatch(error.message, /wrong|secret/)
      return true
    })
  }
})

test('Basic is sent after its challenge only, and never over and over', async () => {
  const basic = { username: 'me', password: 'secret' }
  const { registry, client } = setup({ basic }, { credential: ME })
  addImage(registry, 'v1')
  await client.manifest('v1')
  assert.equal(registry.seen[0]?.authorization, undefined)
  const wrong = setup({ basic }, { credential: { ...ME, password: 'x' } })
  await assert.rejects(wrong.client.manifest('v1'), { code: 'REGISTRY_UNAUTHORIZED' })
  assert.equal(wrong.registry.seen.length, 2)
})

test('requests side by side all pass their first challenge, with one token', async () => {
  const basic = { username: 'me', password: 'secret' }
  for (const options of [{ basic }, { tokens: TOKENS }]) {
    const { registry, client } = setup(options, { credential: ME })
    const { digest } = addImage(registry, 'v1')
    const found = await Promise.all([1, 2, 3, 4].map(() => client.manifest('v1')))
    assert.ok(found.every((one) => one.digest === digest))
    const asked = registry.seen.filter(({ url }) => url.startsWith(TOKENS.realm)).length
    assert.equal(asked, 'tokens' in options ? 1 : 0)
  }
})

test('a token that the registry no longer takes is replaced, once', async () => {
  const { registry, client } = setup({ tokens: TOKENS }, { credential: ME })
  addImage(registry, 'v1')
  await client.manifest('v1')
  registry.forgetTokens()
  await client.manifest('v1')
  assert.equal(registry.seen.filter(({ url }) => url.startsWith(TOKENS.realm)).length, 2)
  registry.intercept = (request) =>
    request.url.href.startsWith(TOKENS.realm)
      ? undefined
      : reply(401, { 'www-authenticate': `Bearer realm="${TOKENS.realm}"` })
  const before = registry.seen.length
  await assert.rejects(client.manifest('v1'), { code: 'REGISTRY_UNAUTHORIZED' })
  assert.ok(registry.seen.length - before <= 5)
})

test('credentials never go to a realm in the clear, or to one that is not allowed', async () => {
  for (const realm of [
    'http://auth.example/token',
    'ftp://auth.example/',
    'https://u:p@auth.example/',
  ]) {
    const { registry, client } = setup({ tokens: { ...TOKENS, realm } }, { credential: ME })
    await assert.rejects(client.manifest('v1'), { code: 'REGISTRY_REALM_REFUSED' })
    assert.equal(registry.seen.length, 1)
  }
  const listed = setup(
    { tokens: TOKENS },
    { credential: ME, allowRealm: ({ host }) => host === 'registry.example' },
  )
  await assert.rejects(listed.client.manifest('v1'), { code: 'REGISTRY_REALM_REFUSED' })
  assert.equal(listed.registry.seen.length, 1)
  const origin = 'http://registry.example:5000'
  const plain = setup(
    { origin, tokens: { ...TOKENS, realm: 'http://auth.example/t' } },
    { credential: ME },
  )
  addImage(plain.registry, 'v1')
  await plain.client.manifest('v1')
})

test('a redirect is followed without Authorization, to https only, and not in circles', async () => {
  const content = utf8('blob')
  const name = { digest: digestOf(content), size: content.length }
  const redirect = (location: string): Setup => {
    const made = setup({ tokens: TOKENS }, { credential: ME })
    made.registry.addBlob(NAME, content)
    made.registry.intercept = async (request, answer) => {
      if (request.url.host === 'store.example') return reply(200, {}, content)
      if (!request.url.pathname.includes('/blobs/')) return answer()
      const own = await answer()
      return own.status === 200 ? reply(307, { location }) : own
    }
    return made
  }
  const good = redirect('https://store.example/x?signature=abc')
  assert.deepEqual(await read(good.client.blob(name)), content)
  const hop = good.registry.seen.find(({ url }) => url.startsWith('https://store.example'))
  assert.deepEqual([hop?.authorization, hop?.redirected], [undefined, true])
  assert.ok(good.registry.seen.some(({ authorization }) => authorization?.startsWith('Bearer ')))
  const bad = ['http://store.example/', 'ftp://store.example/', 'https://u:p@store.example/', '']
  for (const location of bad) {
    const { registry, client } = redirect(location)
    await assert.rejects(read(client.blob(name)), { code: 'REGISTRY_REDIRECT_REFUSED' })
    assert.ok(!registry.seen.some(({ url }) => new URL(url).host === 'store.example'))
  }
  const circle = redirect(`/v2/${NAME}/blobs/${name.digest}`)
  await assert.rejects(read(circle.client.blob(name)), { code: 'REGISTRY_REDIRECT_REFUSED' })
  assert.ok(circle.registry.seen.length < 15)
})

test('a 401 of another host is not answered with credentials', async () => {
  for (const challenge of ['Basic realm="x"', 'Bearer realm="https://evil.example/token"']) {
    const { registry, client } = setup({}, { credential: ME })
    registry.intercept = (request) =>
      request.url.origin === registry.origin
        ? reply(307, { location: 'https://store.example/' })
        : reply(401, { 'www-authenticate': challenge })
    const name = { digest: digestOf(utf8('x')), size: 1 }
    await assert.rejects(read(client.blob(name)), { code: 'REGISTRY_UNAUTHORIZED' })
    assert.ok(registry.seen.every(({ authorization }) => authorization === undefined))
    assert.equal(registry.seen.length, 2)
  }
})

test('busy servers and broken networks are tried again, five times in all, with jitter', async () => {
  const { registry, client, slept } = setup()
  addImage(registry, 'v1')
  let failures = 2
  registry.intercept = () => (failures-- > 0 ? reply(503) : undefined)
  await client.manifest('v1')
  assert.deepEqual(slept, [500, 1000])
  registry.intercept = () => reply(429, { 'retry-after': '7' })
  await assert.rejects(client.manifest('v1'), { code: 'REGISTRY_RATE_LIMITED' })
  assert.deepEqual(slept.slice(2), [7000, 7000, 7000, 7000])
  const before = registry.seen.length
  registry.intercept = () => {
    throw new HttpError('NETWORK_BROKEN', 'x')
  }
  await assert.rejects(client.manifest('v1'), { code: 'NETWORK_BROKEN' })
  assert.equal(registry.seen.length - before, 5)
  const again = registry.seen.length
  registry.intercept = () => {
    throw new HttpError('NETWORK_UNREACHABLE', 'x')
  }
  await assert.rejects(client.manifest('v1'), { code: 'NETWORK_UNREACHABLE' })
  assert.equal(registry.seen.length - again, 2)
  for (const refuse of [
    () => reply(403),
    () => {
      throw new HttpError('TLS_PIN_MISMATCH', 'x')
    },
  ]) {
    const start = registry.seen.length
    registry.intercept = refuse
    await assert.rejects(client.manifest('v1'))
    assert.equal(registry.seen.length - start, 1)
  }
})

test('retryDelay() is capped, whatever the server asks for', () => {
  const clock = { random: () => 1, now: () => 0 }
  assert.equal(retryDelay(2, undefined, clock), 1000)
  assert.equal(retryDelay(12, undefined, clock), 60_000)
  assert.equal(retryDelay(2, reply(429, { 'retry-after': '999999' }), clock), 60_000)
  const date = new Date(9_000).toUTCString()
  assert.equal(retryDelay(2, reply(429, { 'retry-after': date }), clock), 9000)
  assert.equal(retryDelay(2, reply(429, { 'retry-after': 'soon' }), clock), 1000)
})

test('words of a registry are shown without control characters, nothing else', async () => {
  const { client } = setup()
  await assert.rejects(read(client.blob({ digest: digestOf(utf8('x')), size: 1 })), {
    code: 'REGISTRY_NOT_FOUND',
    message: /404 \(BLOB_UNKNOWN: no \[31m luck\)$/,
  })
})

const pushOptions = [
  ['one stream', {}, {}],
  ['chunks of our size', {}, { chunkSize: 400_000 }],
  ['chunks that the registry wants', { chunkMinimum: 300_000 }, {}],
] as const
for (const [label, options, extra] of pushOptions) {
  test(`a blob of unknown digest is pushed in ${label}`, async () => {
    const { registry, client } = setup(options, { push: true, ...extra })
    const content = pattern(1_500_000)
    const parts = Array.from({ length: 15 }, (_, i) =>
      content.subarray(i * 100_000, (i + 1) * 100_000),
    )
    const name = await client.pushBlob(stream(...parts))
    assert.deepEqual(name, { digest: digestOf(content), size: content.length })
    assert.deepEqual(registry.repository(NAME).blobs.get(name.digest), content)
    assert.ok(await client.hasBlob(name.digest))
    assert.equal(registry.openUploads, 0)
  })
}

test('a blob of known digest is checked before the registry keeps it', async () => {
  const { registry, client } = setup({ tokens: TOKENS }, { push: true, credential: ME })
  for (const size of [100, 2_000_000]) {
    const content = pattern(size)
    const known = { digest: digestOf(content), size }
    assert.deepEqual(await client.pushBlob(stream(content), known), known)
    const changed = content.map((byte, i) => (i === 50 ? byte ^ 1 : byte))
    await assert.rejects(client.pushBlob(stream(changed), known), { code: 'IMAGE_DIGEST_MISMATCH' })
    await assert.rejects(client.pushBlob(stream(content, utf8('x')), known), {
      code: 'IMAGE_SIZE_MISMATCH',
    })
    assert.equal(registry.openUploads, 0)
    assert.ok(!registry.repository(NAME).blobs.has(digestOf(changed)))
  }
  const long = pattern(64)
  const sha512 = { digest: digestOf(long, 'sha512'), size: 64 }
  assert.deepEqual(await client.pushBlob(stream(long), sha512), sha512)
})

test('an upload that fails is cancelled', async () => {
  const { registry, client } = setup({}, { push: true })
  async function* failing(): AsyncGenerator<Uint8Array, void, undefined> {
    yield pattern(10)
    throw new Error('source failed')
  }
  await assert.rejects(client.pushBlob(failing()), /source failed/)
  assert.equal(registry.openUploads, 0)
  assert.ok(registry.seen.some(({ method }) => method === 'DELETE'))
})

test('an upload location on another host gets no Authorization, and never plain http', async () => {
  const { registry, client } = setup({ tokens: TOKENS }, { push: true, credential: ME })
  const content = pattern(100)
  const known = { digest: digestOf(content), size: 100 }
  let scheme = 'https'
  registry.intercept = async (request, answer) => {
    if (request.url.host === 'store.example') return reply(201)
    const own = await answer()
    return own.status === 202 ? reply(202, { location: `${scheme}://store.example/u?sig=1` }) : own
  }
  await client.pushBlob(stream(content), known)
  const hop = registry.seen.find(({ url }) => url.startsWith('https://store.example'))
  assert.deepEqual([hop?.authorization, hop?.redirected], [undefined, true])
  scheme = 'http'
  await assert.rejects(client.pushBlob(stream(content), known), {
    code: 'REGISTRY_REDIRECT_REFUSED',
  })
})

test('a blob is mounted from another repository, or the offered upload is cancelled', async () => {
  const { registry, client } = setup({ tokens: TOKENS }, { push: true, credential: ME })
  const digest = registry.addBlob('other/app', utf8('shared'))
  assert.equal(await client.mountBlob(digest, 'other/app'), true)
  assert.equal(await client.mountBlob(digestOf(utf8('?')), 'other/app'), false)
  assert.equal(registry.openUploads, 0)
})

for (const referrers of [true, false]) {
  test(`referrers are found ${referrers ? 'through the interface' : 'under the fallback tag'}`, async () => {
    const { registry, client } = setup({ referrers, pageSize: 1 }, { push: true })
    const image = addImage(registry, 'v1')
    assert.deepEqual(await client.referrers(image.digest), [])
    const config = utf8('{}')
    await client.pushBlob(stream(config))
    const empty = { mediaType: MEDIA_TYPES.ociEmpty, digest: digestOf(config), size: 2 }
    const pushed: string[] = []
    for (const text of ['one', 'two']) {
      const manifest = json({
        schemaVersion: 2,
        mediaType: MEDIA_TYPES.ociManifest,
        config: empty,
        layers: [empty],
        subject: {
          mediaType: MEDIA_TYPES.ociManifest,
          digest: image.digest,
          size: image.bytes.length,
        },
        annotations: { text },
      })
      pushed.push((await client.pushManifest(manifest, MEDIA_TYPES.ociManifest)).digest)
    }
    const found = await client.referrers(image.digest)
    assert.deepEqual(found.map(({ digest }) => digest).sort(), pushed.sort())
  })
}

test('all pages of tags are read, from the same host only', async () => {
  const { registry, client } = setup({ pageSize: 2 })
  for (const tag of ['a', 'b', 'c', 'd', 'e']) addImage(registry, tag)
  assert.deepEqual(await client.tags(), ['a', 'b', 'c', 'd', 'e'])
  registry.intercept = () =>
    reply(200, { link: '<https://evil.example/v2/>; rel="next"' }, utf8('{"tags":[]}'))
  await assert.rejects(client.tags(), { code: 'REGISTRY_RESPONSE_INVALID' })
  assert.ok(registry.seen.every(({ url }) => url.startsWith(registry.origin)))
  registry.intercept = () => reply(200, { link: '</v2/x>; rel="next"' }, utf8('{"tags":["a"]}'))
  await assert.rejects(client.tags(), { code: 'REGISTRY_RESPONSE_INVALID' })
})

test('parseChallenges() takes several challenges, quoted commas and any case', () => {
  const [bearer, basic] = parseChallenges([
    'BEARER Realm="https://a/?x=1,2", scope="a:b:pull,push" , service=plain, Basic realm="q\\"x"',
  ])
  assert.equal(bearer?.scheme, 'bearer')
  assert.deepEqual(
    [...(bearer?.parameters ?? [])],
    [
      ['realm', 'https://a/?x=1,2'],
      ['scope', 'a:b:pull,push'],
      ['service', 'plain'],
    ],
  )
  assert.equal(basic?.parameters.get('realm'), 'q"x')
  for (const odd of ['', ',', '=', 'a b c', '"', `x ${'y'.repeat(9000)}`, 'Basic realm="']) {
    assert.ok(Array.isArray(parseChallenges([odd])))
  }
})

test('nextLink() finds the next page among others', () => {
  assert.equal(nextLink(['</p>; rel="prev", </n?a=1,2>; title=x; rel=next']), '/n?a=1,2')
  assert.equal(nextLink(['</n>; rel="nextish"']), undefined)
})

test('auth.json: the nearest path wins, then the host; Docker Hub has three names', () => {
  const auth = (text: string): object => ({ auth: toBase64(utf8(text)) })
  const file = parseAuthFile(
    json({
      auths: {
        'https://index.docker.io/v1/': auth('hub:p'),
        'reg.example': auth('host:p:with:colons'),
        'reg.example/team': auth('team:p\0\0'),
        'https://old.example/v2/': { username: 'old', password: 'p' },
        'id.example': { identitytoken: 'T', auth: toBase64(utf8('<token>:')) },
        'empty.example': {},
      },
      credHelpers: { 'help.example': 'pass' },
      credsStore: 'desktop',
    }),
  )
  const find = (host: string, repository: string): Credential | undefined =>
    findCredential(file, { host, repository })
  const user = (host: string, repository: string): string | undefined =>
    find(host, repository)?.username
  assert.equal(user('docker.io', 'library/alpine'), 'hub')
  assert.equal(user('reg.example', 'team/app'), 'team')
  assert.equal(user('reg.example', 'teams/app'), 'host')
  assert.equal(user('old.example', 'x'), 'old')
  assert.equal(find('empty.example', 'x'), undefined)
  assert.equal(find('reg.example.evil.example', 'x'), undefined)
  assert.equal(find('id.example', 'x')?.kind, 'identity-token')
  assert.deepEqual(find('reg.example', 'x'), {
    kind: 'password',
    username: 'host',
    password: 'p:with:colons',
  })
  assert.deepEqual(find('reg.example', 'team/x'), {
    kind: 'password',
    username: 'team',
    password: 'p',
  })
})

test('bad credentials are refused without showing them', () => {
  const secret = 'hunter2'
  for (const bad of [`{"auths":{"h":{"auth":"${secret}"}}}`, `{"auths":["${secret}"]}`, secret]) {
    assert.throws(
      () => parseAuthFile(utf8(bad)),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, 'REGISTRY_CREDENTIALS_INVALID')
        assert.doesNotMatch(`${error.message} ${String(error.cause)}`, /hunter2/)
        return true
      },
    )
  }
  assert.throws(() => parseCredential(secret), { code: 'REGISTRY_CREDENTIALS_INVALID' })
  assert.deepEqual(parseCredential('u:p:q'), { kind: 'password', username: 'u', password: 'p:q' })
})

test('a client speaks to the API host of Docker Hub', async () => {
  const asked: string[] = []
  const transport: Transport = async (request) => {
    asked.push(request.url.href)
    return reply(404)
  }
  const clock = { now: () => 0, random: () => 0, sleep: async () => {} }
  const hub = createRegistryClient({ host: 'docker.io', repository: 'library/x', transport, clock })
  await hub.findManifest('v1')
  assert.deepEqual(asked, ['https://registry-1.docker.io/v2/library/x/manifests/v1'])
})
