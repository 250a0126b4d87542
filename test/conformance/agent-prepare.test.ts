import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { duplexPair } from 'node:stream'
import { after, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { concat, fromUtf8, utf8 } from '#lib/bytes'
import { createInitiator, reportForm } from '#lib/handover'
import type { Transport } from '#lib/http'
import { initDataDigest } from '#lib/initdata'
import { object, parseJson } from '#lib/json'
import { parseLaunchConfig } from '#lib/launch'
import { digestOf, encodeManifest, encryptedMediaType, MEDIA_TYPES, parseReference } from '#lib/oci'
import { encryptLayer, parseEncryptionKey, wrapLayer } from '#lib/ocicrypt/wrap'
import { openSealed, parseHeader, readSealed, sealedLayout } from '#lib/sealed'
import { signatureTag } from '#lib/signing'
import {
  addSignature,
  encodePayload,
  generateSigningKey,
  openSigningKey,
  type SigningKey,
} from '#lib/signing/sign'
import { createHttpTransport } from '#platform/http'
import { layerSealer } from '../../src/enclave/agent/image/layers.ts'
import { openSimTee } from '../../src/enclave/tee/index.ts'
import { AgentHarness, context, INIT_ENCLAVE, SIGNER } from '../support/agent-harness.ts'
import { TestRegistry } from '../support/registry.ts'
import { tarArchive, tarEntry } from '../support/tar-builder.ts'

const MARKER = 'the-secret-of-this-image'
const KEK = new Uint8Array(32).fill(0x6b)
const REGISTRY_BLOCKED = '[[registry]]\nlocation = "registry.example"\nblocked = true\n'
const harness = await AgentHarness.start()
after(() => harness[Symbol.asyncDispose]())

const signer = newSigner()
const stranger = newSigner()
const reader = generateKeyPairSync('ec', { namedCurve: 'P-256' })
let namespaces = 0

/** A namespace with the usual resources; `change` sets or (with undefined) leaves out some. */
async function namespace(change: Readonly<Record<string, Uint8Array | string | undefined>> = {}) {
  const name = `ns${namespaces++}`
  const resources: Readonly<Record<string, Uint8Array | string | undefined>> = {
    'security-policy/default': policyJson(signer),
    'image-kek/k1': KEK,
    'decryption-key/default': reader.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    ...change,
  }
  for (const [path, value] of Object.entries(resources)) {
    if (value !== undefined) await harness.set(`kbs:///${name}/${path}`, value)
  }
  return name
}

interface ImageChange {
  /** Whose key signs; undefined leaves the image unsigned. */
  readonly signer?: SigningKey | undefined
  readonly recipient?: 'kbs' | 'jwe' | 'none'
  readonly kid?: string
  readonly hmac?: Uint8Array
  readonly diffId?: string
  readonly env?: readonly string[]
  /** The name inside the signature; default: without tag, as cosign. */
  readonly signedName?: string
  /** Unencrypted layers below. */
  readonly plainLayers?: number
}

/** Pushes an image to a registry in memory. */
async function publish(name: string, change: ImageChange = {}) {
  const registry = new TestRegistry()
  const repository = 'team/app'
  const tar = tarArchive(tarEntry({ name: 'app/secret.txt', data: MARKER.repeat(2000) }))
  const blob = gzipSync(tar)
  const { recipient = 'kbs' } = change
  let layer = {
    bytes: new Uint8Array(blob),
    mediaType: MEDIA_TYPES.ociLayerGzip as string,
    annotations: {},
  }
  if (recipient !== 'none') {
    const encryption = encryptLayer(pieces(blob))
    const ciphertext = await collect(encryption.ciphertext)
    const { publicOptions, privateOptions } = encryption.result()
    const annotations = await wrapLayer(
      {},
      {
        public: { ...publicOptions, hmac: change.hmac ?? publicOptions.hmac },
        private: privateOptions,
      },
      recipient === 'kbs'
        ? { jwe: [], packets: [{ kid: change.kid ?? `kbs:///${name}/image-kek/k1`, kek: KEK }] }
        : {
            jwe: [
              parseEncryptionKey(
                utf8(reader.publicKey.export({ type: 'spki', format: 'pem' }) as string),
              ),
            ],
            packets: [],
          },
    )
    layer = {
      bytes: ciphertext,
      mediaType: encryptedMediaType(MEDIA_TYPES.ociLayerGzip),
      annotations,
    }
  }
  const below = Array.from({ length: change.plainLayers ?? 0 }, () => ({
    mediaType: MEDIA_TYPES.ociLayerGzip,
    digest: registry.addBlob(repository, new Uint8Array(blob)),
    size: blob.length,
  }))
  const config = utf8(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: { Cmd: ['/app/run'], Env: change.env ?? [] },
      rootfs: {
        type: 'layers',
        diff_ids: [...below.map(() => digestOf(tar)), change.diffId ?? digestOf(tar)],
      },
    }),
  )
  const manifest = encodeManifest({
    kind: 'manifest',
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: MEDIA_TYPES.ociConfig,
      digest: registry.addBlob(repository, config),
      size: config.length,
    },
    layers: [
      ...below,
      {
        mediaType: layer.mediaType,
        digest: registry.addBlob(repository, layer.bytes),
        size: layer.bytes.length,
        annotations: layer.annotations,
      },
    ],
  })
  const digest = registry.addManifest(repository, manifest, MEDIA_TYPES.ociManifest, '1')
  const by = 'signer' in change ? change.signer : signer
  if (by !== undefined) {
    const cosign = encodePayload(parseReference('registry.example/team/app:1'), digest)
    const name = change.signedName
    const payload =
      name === undefined
        ? cosign
        : utf8(fromUtf8(cosign, 'payload').replace('registry.example/team/app', name))
    const signature = addSignature(undefined, payload, by)
    registry.addBlob(repository, signature.payload)
    registry.addBlob(repository, signature.config)
    registry.addManifest(repository, signature.manifest, signature.mediaType, signatureTag(digest))
  }
  return { registry, digest, layerBytes: layer.bytes }
}

/** An agent for a namespace, over a registry in memory, with a spool of its own. */
async function agentFor(name: string, registry: TestRegistry, progress?: () => number) {
  const spool = mkdtempSync(join(harness.dir, 'spool-'))
  mkdirSync(spool, { recursive: true })
  const asked: string[] = []
  const started = harness.agent({
    namespace: name,
    environment: {
      brokerTransport: (pins) =>
        recording(asked, createHttpTransport({ pins, tlsOnly: true }).send),
      registryNetwork: {
        transport: () => registry.transport,
        clock: { sleep: async () => {}, random: () => 0, now: Date.now },
      },
      sealLayers: layerSealer({ spool }),
      ...(progress === undefined ? {} : { progress }),
    },
  })
  await started.configure()
  const prepare = async (
    request: object = {},
    signal = new AbortController().signal,
    image = 'registry.example/team/app:1',
  ) => {
    const reply = await started.agent.handlers.prepare(
      {
        containerId: 'c1',
        podId: 'p1',
        image,
        request: utf8(JSON.stringify({ network: 'host', ...request })),
      },
      { ...context(), signal },
    )
    return { launchId: reply.launchId, result: object(parseJson(reply.json), 'result') }
  }
  const keysAsked = () => asked.filter((path) => /image-kek|decryption-key/.test(path))
  return { ...started, spool, asked, keysAsked, prepare }
}

async function prepared(change: ImageChange = {}, resources = {}) {
  const name = await namespace(resources)
  const image = await publish(name, change)
  return { name, image, ...(await agentFor(name, image.registry)) }
}

const refusal = async (promise: Promise<unknown>) =>
  promise.then(
    () => assert.fail('accepted'),
    (e) => e,
  )

test('an encrypted, signed image becomes sealed layers that only init can open', async () => {
  for (const recipient of ['kbs', 'jwe'] as const) {
    const { prepare, agent, spool, initData, image, keysAsked } = await prepared({ recipient })
    const { launchId, result } = await prepare()
    // The positive control of every test that sees no key asked for.
    assert.equal(keysAsked().length, 1)
    assert.equal(result.manifestDigest, image.digest)
    const decisions = (result.decisionIds as string[]).map((id) => harness.decision(id))
    assert.deepEqual(
      (await Promise.all(decisions)).map(({ kind, decision }) => [kind, decision]),
      [
        ['appraise', 'allow'],
        ['launch', 'allow'],
      ],
    )
    const handed = await handover(agent, launchId, initData)
    assert.equal(handed.containerId, 'c1')
    assert.deepEqual(parseLaunchConfig(handed.config).args, ['/app/run'])
    const [layer] = handed.layers
    assert.ok(layer)
    assert.deepEqual(readdirSync(spool), ['layer-0.sealed'])
    const file = readFileSync(join(spool, layer.file))
    assert.equal(file.includes(MARKER), false)
    const plain = await readAll(file, layer)
    assert.ok(Buffer.from(plain).includes(MARKER))
  }
})

test('a permission that the owner could not be told of unpacks nothing', async () => {
  const name = await namespace()
  const { registry } = await publish(name)
  const spool = mkdtempSync(join(harness.dir, 'spool-'))
  const deaf = (send: Transport): Transport => {
    return async (request) =>
      request.url.pathname.endsWith('/enclave-cc/decisions')
        ? { status: 503, headers: {}, body: (async function* () {})() }
        : await send(request)
  }
  const started = harness.agent({
    namespace: name,
    environment: {
      brokerTransport: (pins) => deaf(createHttpTransport({ pins, tlsOnly: true }).send),
      registryNetwork: {
        transport: () => registry.transport,
        clock: { sleep: async () => {}, random: () => 0, now: Date.now },
      },
      sealLayers: layerSealer({ spool }),
    },
  })
  await started.configure()
  const request = utf8(JSON.stringify({ network: 'host' }))
  const call = { containerId: 'c1', podId: 'p1', image: 'registry.example/team/app:1', request }
  const error = await refusal(started.agent.handlers.prepare(call, context()))
  assert.match(error.code, /^KBS_/)
  assert.deepEqual(readdirSync(spool), [])
})

test('an agent that has rehearsed prepares as any other, and nobody was asked', async () => {
  const name = await namespace()
  const { registry, digest } = await publish(name)
  const rehearsed = Promise.withResolvers<void>()
  const asked: string[] = []
  const started = harness.agent({
    namespace: name,
    environment: {
      brokerTransport: (pins) =>
        recording(asked, createHttpTransport({ pins, tlsOnly: true }).send),
      registryNetwork: {
        transport: () => recording(asked, registry.transport),
        clock: { sleep: async () => {}, random: () => 0, now: Date.now },
      },
      sealLayers: layerSealer({ spool: mkdtempSync(join(harness.dir, 'spool-')) }),
      later: (work) => {
        work(new AbortController().signal).then(rehearsed.resolve, rehearsed.reject)
        return { cancel: () => {} }
      },
    },
  })
  await started.configure()
  await rehearsed.promise
  assert.deepEqual([started.log, asked], [[], []])
  const request = utf8(JSON.stringify({ network: 'host' }))
  const call = { containerId: 'c1', podId: 'p1', image: 'registry.example/team/app:1', request }
  const { json } = await started.agent.handlers.prepare(call, context())
  assert.equal(object(parseJson(json), 'result').manifestDigest, digest)
})

test('a plain, signed image runs without any key', async () => {
  const { prepare, keysAsked } = await prepared({ recipient: 'none' })
  await prepare()
  assert.deepEqual(keysAsked(), [])
})

test('an image without signature, or signed by a stranger, is refused before any key is asked for', async () => {
  for (const [by, code] of [
    [undefined, 'SIGNATURE_MISSING'],
    [stranger, 'SIGNATURE_INVALID'],
  ] as const) {
    const { prepare, keysAsked } = await prepared({ signer: by })
    const error = await refusal(prepare())
    assert.equal(error.code, code)
    const decision = await harness.decision(error.correlationId)
    assert.equal(decision.decision, 'deny')
    assert.equal(decision.code, code)
    assert.deepEqual(keysAsked(), [])
  }
})

test('a namespace without signature policy accepts nothing', async () => {
  const { prepare } = await prepared({}, { 'security-policy/default': undefined })
  assert.equal((await refusal(prepare())).code, 'IMAGE_POLICY_MISSING')
})

test('an image that anybody could have made gets no key, whatever the policies permit', async () => {
  const anything = JSON.stringify({
    default: [{ type: 'insecureAcceptAnything' }],
    transports: { docker: {} },
  })
  const unsigned = { signer: undefined }
  const first = await prepared(unsigned, { 'security-policy/default': anything })
  assert.equal((await refusal(first.prepare())).code, 'LAUNCH_REFUSED')
  const second = await prepared(unsigned, {
    'security-policy/default': anything,
    'launch-policy/default': '@id("all") permit (principal, action, resource);',
  })
  assert.equal((await refusal(second.prepare())).code, 'KEY_UNSIGNED_REFUSED')
  assert.deepEqual([...first.keysAsked(), ...second.keysAsked()], [])
})

test('a key of another namespace is not asked for', async () => {
  await harness.set('kbs:///victim/image-kek/k1', KEK)
  const { prepare, asked } = await prepared(
    { kid: 'kbs:///victim/image-kek/k1' },
    { 'launch-policy/default': '@id("all") permit (principal, action, resource);' },
  )
  assert.equal((await refusal(prepare())).code, 'KEY_NAMESPACE_REFUSED')
  assert.equal(
    asked.some((path) => path.includes('victim')),
    false,
  )
})

test('a key that the launch policy does not permit to this image is not asked for', async () => {
  const { prepare, keysAsked, name } = await prepared(
    {},
    {
      'launch-policy/default': '@id("run") permit (principal, action == Action::"run", resource);',
    },
  )
  const error = await refusal(prepare())
  assert.equal(error.code, 'KEY_USE_REFUSED')
  assert.match(error.next, new RegExp(`permit .*use-key.*${name}/image-kek/k1`))
  assert.deepEqual(keysAsked(), [])
})

test('each request of the host is refused by name, and the rule that is suggested permits it', async () => {
  const requests = [
    [{ args: ['--all'] }, 'LAUNCH_ARGS_REFUSED'],
    [{ entrypoint: ['/bin/sh'] }, 'LAUNCH_ENTRYPOINT_REFUSED'],
    [{ env: { LOG_LEVEL: 'debug' } }, 'LAUNCH_ENV_REFUSED'],
    [{ user: '1000' }, 'LAUNCH_USER_REFUSED'],
    [{ workdir: '/tmp' }, 'LAUNCH_WORKDIR_REFUSED'],
  ] as const
  const base = `@id("run") permit (principal, action == Action::"run", resource);
@id("keys") permit (principal, action == Action::"use-key", resource);`
  for (const [request, code] of requests) {
    const { prepare, keysAsked } = await prepared({}, { 'launch-policy/default': base })
    const error = await refusal(prepare(request))
    assert.equal(error.code, code)
    assert.deepEqual(keysAsked(), [])
    const rule = error.next.replace('add to the launch policy: ', '')
    const open = await prepared({}, { 'launch-policy/default': `${base}\n${rule}` })
    await open.prepare(request)
  }
})

test('a tag that no signature names, or beside a digest, is a word of the host and reaches no policy', async () => {
  const name = await namespace({
    'launch-policy/default': `@id("one") permit (principal, action == Action::"run", resource)
  when { principal.tag == "1" };
@id("keys") permit (principal, action == Action::"use-key", resource);`,
  })
  const image = await publish(name, { signedName: 'registry.example/team/app:1' })
  const tagged = await agentFor(name, image.registry)
  await tagged.prepare()
  // What cosign signs has no tag: the host may serve whatever was ever signed under any tag.
  const plain = await publish(name)
  const untagged = await agentFor(name, plain.registry)
  assert.equal((await refusal(untagged.prepare())).code, 'LAUNCH_REFUSED')
  const both = await agentFor(name, image.registry)
  const error = await refusal(
    both.prepare({}, undefined, `registry.example/team/app:1@${image.digest}`),
  )
  assert.equal(error.code, 'LAUNCH_REFUSED')
})

test('an image with one readable layer is encrypted, but not fully', async () => {
  const rule = (attribute: string) => ({
    'launch-policy/default': `@id("run") permit (principal, action == Action::"run", resource)
  when { principal.${attribute} };
@id("keys") permit (principal, action == Action::"use-key", resource);`,
  })
  const mixed = await prepared({ plainLayers: 1 }, rule('fullyEncrypted'))
  assert.equal((await refusal(mixed.prepare())).code, 'LAUNCH_REFUSED')
  assert.deepEqual(mixed.keysAsked(), [])
  await (await prepared({ plainLayers: 1 }, rule('encrypted'))).prepare()
  await (await prepared({}, rule('fullyEncrypted'))).prepare()
  const plain = await prepared({ recipient: 'none' }, rule('encrypted'))
  assert.equal((await refusal(plain.prepare())).code, 'LAUNCH_REFUSED')
})

test('what no policy can grant is refused under a policy that permits everything', async () => {
  const all = { 'launch-policy/default': '@id("all") permit (principal, action, resource);' }
  for (const [request, code] of [
    [{ env: { LD_PRELOAD: '/x.so' } }, 'LAUNCH_ENV_REFUSED'],
    [{ mounts: [{ source: '/x', target: '/usr' }] }, 'LAUNCH_MOUNT_REFUSED'],
    [{ tty: true }, 'LAUNCH_TTY_REFUSED'],
    [{ stdin: true }, 'LAUNCH_STDIN_REFUSED'],
  ] as const) {
    const { prepare } = await prepared({}, all)
    assert.equal((await refusal(prepare(request))).code, code)
  }
})

test('whatever is wrong with the content looks alike to the host, and the owner finds the cause', async () => {
  const faults: readonly (readonly [ImageChange, string])[] = [
    [{ hmac: new Uint8Array(32) }, 'LAYER_MAC_MISMATCH'],
    [{ diffId: `sha256:${'1'.repeat(64)}` }, 'LAYER_DIFF_ID_MISMATCH'],
  ]
  for (const [change, cause] of faults) {
    const { prepare, spool } = await prepared(change)
    const error = await refusal(prepare())
    assert.equal(error.code, 'IMAGE_REJECTED')
    assert.equal(error.message, 'preparing the image: its content is not accepted')
    assert.equal(error.details, undefined)
    const decision = await harness.decision(error.correlationId)
    assert.equal(decision.code, cause)
    assert.match(JSON.stringify(decision.claims), new RegExp(cause))
    assert.deepEqual(readdirSync(spool), [])
    const explained = await refusal(prepare({ explain: true }))
    assert.equal(explained.code, 'IMAGE_REJECTED')
    assert.equal(explained.details.code, cause)
  }
})

test('a layer changed in the registry is refused, and nothing of it stays', async () => {
  const name = await namespace()
  const image = await publish(name)
  image.layerBytes[100] = (image.layerBytes[100] ?? 0) ^ 1
  const { prepare, spool } = await agentFor(name, image.registry)
  const error = await refusal(prepare())
  assert.equal(error.code, 'IMAGE_REJECTED')
  assert.deepEqual(readdirSync(spool), [])
})

test('a key that the broker does not have is said to be missing', async () => {
  const { prepare } = await prepared({}, { 'image-kek/k1': undefined })
  assert.equal((await refusal(prepare())).code, 'RESOURCE_NOT_FOUND')
})

test('an image that is not there is not a fault of content', async () => {
  const name = await namespace()
  const { prepare } = await agentFor(name, new TestRegistry())
  assert.equal((await refusal(prepare())).code, 'REGISTRY_NOT_FOUND')
})

test('an agent prepares one container, and a failed attempt may be repeated', async () => {
  const { prepare } = await prepared()
  assert.equal((await refusal(prepare({ args: ['x'] }))).code, 'LAUNCH_ARGS_REFUSED')
  await prepare()
  assert.equal((await refusal(prepare())).code, 'AGENT_STATE')
})

test('of calls that come together one prepares; the others change nothing', async () => {
  const { prepare, asked } = await prepared()
  const results = await Promise.allSettled([prepare(), prepare(), prepare({ args: ['x'] })])
  assert.deepEqual(
    results.map((r) => (r.status === 'fulfilled' ? 'done' : r.reason.code)),
    ['done', 'AGENT_STATE', 'AGENT_STATE'],
  )
  assert.equal(asked.filter((path) => path.includes('image-kek')).length, 1)
})

test('a host name in capitals is refused: rules about registries compare text', async () => {
  const blocked = { 'registry-configuration/default': REGISTRY_BLOCKED }
  const { prepare, asked } = await prepared({}, blocked)
  assert.equal((await refusal(prepare())).code, 'REGISTRY_BLOCKED')
  const capital = await refusal(prepare({}, undefined, 'Registry.example/team/app:1'))
  assert.equal(capital.code, 'AGENT_REQUEST_INVALID')
  assert.equal(
    asked.some((path) => path.includes('image-kek')),
    false,
  )
})

test('registries are reached with the time of the enclave, not of the host', async () => {
  const name = await namespace()
  const image = await publish(name)
  const times: number[] = []
  const started = harness.agent({
    namespace: name,
    environment: {
      registryNetwork: {
        transport: (_rules, now) => {
          times.push(now())
          return image.registry.transport
        },
        clock: { sleep: async () => {}, random: () => 0, now: () => 0 },
      },
      sealLayers: layerSealer({ spool: mkdtempSync(join(harness.dir, 'spool-')) }),
    },
  })
  await started.configure()
  const request = utf8(JSON.stringify({ network: 'host' }))
  const reference = 'registry.example/team/app:1'
  await started.agent.handlers.prepare(
    { containerId: 'c1', podId: 'p1', image: reference, request },
    context(),
  )
  // The broker's signed word, far after the bundle's date.
  assert.ok(times.every((time) => Math.abs(time - Date.now()) < 60_000) && times.length > 0)
})

test('causes are shown to the host on the simulated platform only, whatever it asks for', async () => {
  const name = await namespace()
  const image = await publish(name, { diffId: digestOf(utf8('other')) })
  const simulated = await agentFor(name, image.registry)
  const shown = await refusal(simulated.prepare({ explain: true }))
  assert.match(JSON.stringify(shown.details), /LAYER_DIFF_ID_MISMATCH/)
  const real = harness.agent({
    namespace: name,
    environment: {
      tee: { ...simulated.tee, platform: 'sgx' },
      registryNetwork: {
        transport: () => image.registry.transport,
        clock: { sleep: async () => {}, random: () => 0, now: Date.now },
      },
      sealLayers: layerSealer({ spool: mkdtempSync(join(harness.dir, 'spool-')) }),
    },
  })
  await real.configure()
  const request = utf8(JSON.stringify({ network: 'host', explain: true }))
  const call = { containerId: 'c1', podId: 'p1', image: 'registry.example/team/app:1', request }
  const hidden = await refusal(real.agent.handlers.prepare(call, context()))
  assert.deepEqual([hidden.code, hidden.details], ['IMAGE_REJECTED', undefined])
})

test('a supervisor that goes away leaves no sealed file behind', async () => {
  const name = await namespace()
  const image = await publish(name)
  const gone = new AbortController()
  image.registry.intercept = (request) => {
    if (request.url.pathname.includes('/blobs/')) gone.abort(new Error('gone'))
    return undefined
  }
  const { prepare, spool } = await agentFor(name, image.registry)
  await assert.rejects(prepare({}, gone.signal))
  assert.deepEqual(readdirSync(spool), [])
})

test('progress names each step once, in order', async () => {
  const { prepare, agent } = await prepared()
  await prepare()
  const { json } = await agent.handlers.events({ after: 0n }, context())
  const steps = (parseJson(json) as { step: string }[]).map(({ step }) => step)
  assert.deepEqual(
    [...new Set(steps)],
    ['attest', 'policy', 'manifest', 'signature', 'launch', 'keys', 'layer', 'ready'],
  )
  assert.equal(JSON.stringify(fromUtf8(json, 'events')).includes('secret.txt'), false)
})

test('a launch that no init fetches is reported to the owner', async () => {
  const name = await namespace()
  const image = await publish(name)
  let now = 0
  const { prepare, agent, log } = await agentFor(name, image.registry, () => now)
  await prepare()
  now = 61_000
  await agent.tick()
  assert.deepEqual(log.at(-1), { code: 'HANDOVER_EXPIRED', container: 'c1' })
})

function newSigner(): SigningKey {
  return openSigningKey(generateSigningKey('').privateFile, '')
}

function policyJson(key: SigningKey): string {
  const keyData = Buffer.from(key.publicPem).toString('base64')
  return JSON.stringify({
    default: [{ type: 'reject' }],
    transports: {
      docker: {
        'registry.example/team': [
          { type: 'sigstoreSigned', keyData, signedIdentity: { type: 'matchRepository' } },
        ],
      },
    },
  })
}

function recording(paths: string[], send: Transport): Transport {
  return async (request) => {
    paths.push(request.url.pathname)
    return await send(request)
  }
}

async function* pieces(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000)
}

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const parts: Uint8Array[] = []
  for await (const part of source) parts.push(new Uint8Array(part))
  return concat(...parts)
}

type Handed = NonNullable<ReturnType<typeof createInitiator>['result']>

/** Plays init, on the same machine. */
async function handover(
  agent: Awaited<ReturnType<typeof agentFor>>['agent'],
  launchId: Uint8Array,
  initData: Uint8Array,
): Promise<Handed> {
  const [inside, outside] = duplexPair()
  harness.platform.serve(outside, {
    mrEnclave: INIT_ENCLAVE,
    mrSigner: SIGNER,
    configId: concat(initDataDigest(initData), new Uint8Array(32)),
    isvProdId: 2,
    isvSvn: 1,
    debug: false,
  })
  const init = createInitiator({
    form: reportForm(openSimTee(inside)),
    launchId,
    peer: { mrSigner: SIGNER, isvProdId: 1, minIsvSvn: 1 },
  })
  let message = await init.begin()
  for (let round = 0; round < 2; round++) {
    message = await init.handle((await agent.handlers.handover({ message }, context())).message)
  }
  await agent.handlers.handover({ message }, context())
  assert.ok(init.result)
  return init.result
}

async function readAll(file: Uint8Array, layer: Handed['layers'][number]): Promise<Uint8Array> {
  const header = parseHeader(layer.header)
  const { tagsOffset, tagsLength } = sealedLayout(header)
  const image = openSealed({
    encodedHeader: layer.header,
    root: layer.root,
    key: layer.key,
    tags: file.subarray(tagsOffset, tagsOffset + tagsLength),
    fileLength: file.length,
  })
  const source = { read: (at: number, length: number) => file.subarray(at, at + length) }
  return await readSealed(image, source, 0, header.imageLength)
}

test('an event that init reported reaches the owner, marked as a word of the host, and not without end', async () => {
  const { agent } = await prepared()
  const report = () =>
    agent.handlers.report(
      { json: utf8('{"code":"ROOTFS_TAMPERED","message":"chunk 3"}') },
      context(),
    )
  const before = (await harness.broker.broker.auditHead()).size
  await report()
  const entries = await harness.broker.broker.parts.store.audit(before, 100)
  assert.match(entries.map(({ text }) => text).join(), /ROOTFS_TAMPERED/)
  for (let i = 1; i < 64; i++) await report()
  assert.equal((await refusal(report())).code, 'AGENT_STATE')
})
