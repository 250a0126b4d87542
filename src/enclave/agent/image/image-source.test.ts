import assert from 'node:assert/strict'
import { test } from 'node:test'
import { toBase64, utf8 } from '#lib/bytes'
import { encodeManifest, MEDIA_TYPES, parseReference } from '#lib/oci'
import { parseAuthFile } from '#lib/registry'
import { parsePolicy } from '#lib/signing'
import { TestRegistry, type TestRegistryOptions } from '../../../../test/support/registry.ts'
import type { Broker } from '../broker/broker.ts'
import { openImage, readConfig } from './image-source.ts'
import { parseRegistries } from './registries.ts'
import { judgeSignatures } from './signatures.ts'

const platform = { os: 'linux', architecture: 'amd64' }
const login = { username: 'user', password: 'pass' }
const auth = toBase64(utf8('user:pass'))
const digest = (digit: string) => `sha256:${digit.repeat(64)}`

interface World extends TestRegistryOptions {
  readonly host?: string
  readonly registries?: string
  readonly diffIds?: readonly string[]
  readonly architecture?: string
}

async function open(world: World = {}) {
  const { host = 'registry.example', diffIds = [digest('1')], architecture = 'amd64' } = world
  const registry = new TestRegistry(world)
  const config = utf8(
    JSON.stringify({ os: 'linux', architecture, rootfs: { type: 'layers', diff_ids: diffIds } }),
  )
  const manifest = encodeManifest({
    kind: 'manifest',
    mediaType: MEDIA_TYPES.ociManifest,
    config: {
      mediaType: MEDIA_TYPES.ociConfig,
      digest: registry.addBlob('app', config),
      size: config.length,
    },
    layers: [{ mediaType: MEDIA_TYPES.ociLayerTar, digest: digest('2'), size: 1 }],
  })
  registry.addManifest('app', manifest, MEDIA_TYPES.ociManifest, '1')
  const source = openImage({
    reference: parseReference(`${host}/app:1`),
    registries: parseRegistries(utf8(world.registries ?? '')),
    credentials: parseAuthFile(utf8(JSON.stringify({ auths: { [host]: { auth } } }))),
    network: {
      transport: () => registry.transport,
      clock: { sleep: async () => {}, random: () => 0, now: () => 0 },
    },
    now: () => 0,
    platform,
  })
  const sent = () => registry.seen.flatMap(({ authorization }) => authorization ?? [])
  return { source, sent }
}

test('credentials go over TLS only', async () => {
  const secure = await open({ basic: login })
  await secure.source
  assert.ok(secure.sent().includes(`Basic ${auth}`), 'the detector sees what is sent')
  const plain = [
    { origin: 'http://127.0.0.1:5000', host: '127.0.0.1:5000' },
    {
      origin: 'http://registry.example',
      registries: '[[registry]]\nlocation = "registry.example"\ninsecure = true',
    },
  ]
  for (const world of plain) {
    const { source, sent } = await open({ ...world, basic: login })
    await assert.rejects(source, { code: 'REGISTRY_UNAUTHORIZED' })
    assert.deepEqual(sent(), [])
  }
})

test('credentials go to token servers that the owner lists, and to no other', async () => {
  const tokens = { realm: 'https://tokens.example/token', accounts: { user: 'pass' } }
  const stranger = await open({ tokens })
  await assert.rejects(stranger.source, { code: 'REGISTRY_REALM_REFUSED' })
  assert.deepEqual(stranger.sent(), [])
  const place = '[[registry]]\nlocation = "registry.example"\ntoken-hosts = ["tokens.example"]'
  const listed = await open({ tokens, registries: place })
  await listed.source
  assert.ok(listed.sent().includes(`Basic ${auth}`))
})

test('a configuration must fit its manifest and this machine', async () => {
  await readConfig(await (await open()).source, platform)
  for (const world of [{ diffIds: [] }, { diffIds: [digest('1'), digest('3')] }]) {
    const source = await (await open(world)).source
    await assert.rejects(readConfig(source, platform), { code: 'IMAGE_CONFIG_INVALID' })
  }
  const other = await (await open({ architecture: 'arm64' })).source
  await assert.rejects(readConfig(other, platform), { code: 'IMAGE_PLATFORM_MISSING' })
})

test('a key path of another namespace is not even asked for', async () => {
  const asked: string[] = []
  const broker = {
    findResource: async (name: { namespace: string }) => {
      asked.push(name.namespace)
      return undefined
    },
  } as unknown as Broker
  const source = await (await open()).source
  for (const namespace of ['acme', 'victim']) {
    const keyPath = `kbs:///${namespace}/signing-key/k`
    const policy = parsePolicy(
      utf8(JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath }] })),
    )
    const result = await judgeSignatures({ source, policy, broker, namespace: 'acme' })
    assert.equal(result.accepted, false)
    assert.equal(result.requirements[0]?.code, 'IMAGE_POLICY_KEY_UNAVAILABLE')
  }
  assert.deepEqual(asked, ['acme'])
})
