import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import {
  checkImageConfig,
  convertManifest,
  digestOf,
  dockerMediaType,
  encodeManifest,
  encryptedMediaType,
  formatReference,
  isDigest,
  isLayerType,
  isLoopbackHost,
  layerType,
  MEDIA_TYPES,
  parseImageConfig,
  parseImageIndex,
  parseImageManifest,
  parseManifest,
  parsePlatformText,
  parseReference,
  plainMediaType,
  selectManifest,
  verified,
} from './index.ts'

const HEX = 'a'.repeat(64)
const DIGEST = `sha256:${HEX}`
const json = (value: unknown): Uint8Array => utf8(JSON.stringify(value))
const descriptor = (extra: object = {}): object => ({
  mediaType: MEDIA_TYPES.ociLayerGzip,
  digest: DIGEST,
  size: 3,
  ...extra,
})
const manifest = (extra: object = {}): object => ({
  schemaVersion: 2,
  mediaType: MEDIA_TYPES.ociManifest,
  config: descriptor({ mediaType: MEDIA_TYPES.ociConfig }),
  layers: [descriptor()],
  ...extra,
})

test('parseReference() finds host, repository, tag and digest', () => {
  const rows: [string, string][] = [
    ['alpine', 'docker.io/library/alpine:latest'],
    ['alpine:3', 'docker.io/library/alpine:3'],
    ['me/app', 'docker.io/me/app:latest'],
    ['index.docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['docker.io/alpine', 'docker.io/library/alpine:latest'],
    ['localhost/app', 'localhost/app:latest'],
    ['localhost:5000/a/b__c-d.e:v1', 'localhost:5000/a/b__c-d.e:v1'],
    ['[::1]:5000/app', '[::1]:5000/app:latest'],
    [`reg.example/app@${DIGEST}`, `reg.example/app@${DIGEST}`],
    [`reg.example/app:1@${DIGEST}`, `reg.example/app:1@${DIGEST}`],
    ['reg:5000/x:5000', 'reg:5000/x:5000'],
  ]
  for (const [text, full] of rows) {
    assert.equal(formatReference(parseReference(text)), full)
    assert.equal(formatReference(parseReference(full)), full)
  }
})

test('parseReference() refuses what is not a name', () => {
  const bad = [
    '',
    'Alpine',
    'reg.example/App',
    'reg.example/',
    'a//b',
    '/a',
    'a:',
    'a:b:c',
    'a@sha256:00',
    `a@sha256:${'A'.repeat(64)}`,
    'a..b/c/../d',
    'a/_b',
    'a/b-',
    HEX,
    'reg.example:99999999/a',
    'reg.exa_mple/a',
    '-reg.example/a',
    'a b',
    'a\n',
    'http://reg.example/a',
    `reg.example/${'a'.repeat(300)}`,
    `a:${'t'.repeat(129)}`,
  ]
  for (const text of bad) {
    assert.throws(() => parseReference(text), /IMAGE|reading/, text)
  }
})

test('isLoopbackHost() knows loopback from names that only look like it', () => {
  for (const host of ['localhost', 'localhost:5000', '127.0.0.1:5000', '[::1]:80', '[::1]']) {
    assert.equal(isLoopbackHost(host), true, host)
  }
  for (const host of ['127.0.0.1.example', 'localhost.example', '10.0.0.1', '[::2]:80']) {
    assert.equal(isLoopbackHost(host), false, host)
  }
})

test('digests are lower case and of full length', () => {
  assert.ok(isDigest(DIGEST))
  assert.ok(isDigest(`sha512:${HEX}${HEX}`))
  for (const bad of [
    `sha256:${'A'.repeat(64)}`,
    `sha256:${HEX}0`,
    `sha512:${HEX}`,
    `md5:${HEX}`,
    `sha256:../../${HEX}`,
    `${DIGEST}\n`,
  ]) {
    assert.equal(isDigest(bad), false, bad)
  }
})

test('verified() passes the right bytes and stops at the first byte too many', async () => {
  const content = utf8('hello world')
  const name = { digest: digestOf(content), size: content.length }
  const run = async (parts: Uint8Array[], wanted = name): Promise<number> => {
    let seen = 0
    async function* source(): AsyncGenerator<Uint8Array> {
      yield* parts
    }
    try {
      for await (const chunk of verified(source(), wanted)) seen += chunk.length
    } catch (error) {
      throw Object.assign(error as Error, { seen })
    }
    return seen
  }
  assert.equal(await run([content]), 11)
  assert.equal(await run([...content].map((byte) => Uint8Array.of(byte))), 11)
  await assert.rejects(run([content, utf8('!')]), { code: 'IMAGE_SIZE_MISMATCH', seen: 11 })
  await assert.rejects(run([utf8('hello world!')]), { code: 'IMAGE_SIZE_MISMATCH', seen: 0 })
  await assert.rejects(run([content.subarray(1)]), { code: 'IMAGE_SIZE_MISMATCH' })
  await assert.rejects(run([utf8('hello worlD')]), { code: 'IMAGE_DIGEST_MISMATCH' })
  await assert.rejects(run([content], { ...name, digest: name.digest.toUpperCase() }), {
    code: 'IMAGE_DIGEST_INVALID',
  })
  const long = digestOf(content, 'sha512')
  assert.equal(await run([content], { digest: long, size: 11 }), 11)
})

test('parseManifest() reads manifests and indexes of both families', () => {
  const oci = parseImageManifest(json(manifest()), MEDIA_TYPES.ociManifest)
  assert.equal(oci.layers[0]?.size, 3)
  const bare = parseImageManifest(json(manifest({ mediaType: undefined })), 'application/json')
  assert.equal(bare.mediaType, MEDIA_TYPES.ociManifest)
  const index = { schemaVersion: 2, manifests: [descriptor()] }
  assert.equal(parseImageIndex(json(index), MEDIA_TYPES.ociIndex).manifests.length, 1)
  const list = { ...index, mediaType: MEDIA_TYPES.dockerManifestList }
  assert.equal(parseManifest(json(list), undefined).kind, 'index')
  assert.throws(() => parseImageIndex(json(manifest()), undefined), {
    code: 'IMAGE_MANIFEST_INVALID',
  })
})

test('parseManifest() refuses a manifest that is also an index (CVE-2021-41190)', () => {
  const both = manifest({ manifests: [] })
  for (const type of [MEDIA_TYPES.ociManifest, MEDIA_TYPES.ociIndex, undefined]) {
    const body = json({ ...both, mediaType: type })
    assert.throws(() => parseManifest(body, type), { code: 'IMAGE_MANIFEST_AMBIGUOUS' })
  }
  assert.throws(() => parseManifest(json(manifest()), MEDIA_TYPES.ociIndex), {
    code: 'IMAGE_MANIFEST_AMBIGUOUS',
  })
  assert.throws(
    () => parseManifest(json(manifest({ mediaType: undefined })), MEDIA_TYPES.ociIndex),
    { code: 'IMAGE_MANIFEST_AMBIGUOUS' },
  )
  assert.throws(() => parseManifest(json(manifest()), MEDIA_TYPES.dockerManifest), {
    code: 'IMAGE_MANIFEST_AMBIGUOUS',
  })
  assert.throws(() => parseManifest(json(manifest({ fsLayers: [] })), undefined), {
    code: 'IMAGE_MANIFEST_AMBIGUOUS',
  })
})

test('parseManifest() refuses members in another case and members twice', () => {
  for (const name of ['Manifests', 'LAYERS', 'mediatype', 'Config', 'layer\u017f']) {
    assert.throws(() => parseManifest(json(manifest({ [name]: [] })), undefined), {
      code: 'IMAGE_MANIFEST_INVALID',
    })
  }
  const twice = JSON.stringify(manifest()).replace('"layers"', '"layers":[],"layers"')
  assert.throws(() => parseManifest(utf8(twice), undefined), { code: 'IMAGE_MANIFEST_INVALID' })
  const inDescriptor = manifest({ layers: [descriptor({ Digest: DIGEST })] })
  assert.throws(() => parseManifest(json(inDescriptor), undefined), {
    code: 'IMAGE_MANIFEST_INVALID',
  })
})

test('parseManifest() refuses schema 1, bad digests, bad sizes and foreign types', () => {
  const bad: [object, string][] = [
    [manifest({ schemaVersion: 1 }), 'IMAGE_MANIFEST_INVALID'],
    [manifest({ layers: [descriptor({ size: -1 })] }), 'IMAGE_MANIFEST_INVALID'],
    [manifest({ layers: [descriptor({ size: 1.5 })] }), 'IMAGE_MANIFEST_INVALID'],
    [manifest({ layers: [descriptor({ digest: '../x' })] }), 'IMAGE_DIGEST_INVALID'],
    [
      manifest({ layers: [descriptor({ digest: `sha256:${'A'.repeat(64)}` })] }),
      'IMAGE_DIGEST_INVALID',
    ],
    [manifest({ layers: [descriptor({ mediaType: 'x' })] }), 'IMAGE_MANIFEST_INVALID'],
    [manifest({ config: undefined }), 'IMAGE_MANIFEST_INVALID'],
    [manifest({ mediaType: 'application/vnd.example+json' }), 'IMAGE_MEDIA_TYPE_UNSUPPORTED'],
    [{ schemaVersion: 2 }, 'IMAGE_MEDIA_TYPE_UNSUPPORTED'],
  ]
  for (const [value, code] of bad) {
    assert.throws(() => parseManifest(json(value), undefined), { code }, JSON.stringify(value))
  }
  const schema1 = 'application/vnd.docker.distribution.manifest.v1+prettyjws'
  assert.throws(() => parseManifest(json({ schemaVersion: 1, fsLayers: [] }), schema1), {
    code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED',
  })
})

test('a descriptor with data is checked against its own size and digest', () => {
  const data = Buffer.from('{}').toString('base64')
  const right = descriptor({ data, size: 2, digest: digestOf(utf8('{}')) })
  const parsed = parseImageManifest(json(manifest({ config: right })), undefined)
  assert.deepEqual(parsed.config.data, utf8('{}'))
  const wrongDigest = manifest({ config: descriptor({ data, size: 2 }) })
  assert.throws(() => parseManifest(json(wrongDigest), undefined), {
    code: 'IMAGE_DIGEST_MISMATCH',
  })
  const wrongSize = manifest({ config: { ...right, size: 3 } })
  assert.throws(() => parseManifest(json(wrongSize), undefined), { code: 'IMAGE_SIZE_MISMATCH' })
})

test('what encodeManifest() writes reads back the same', () => {
  const parsed = parseManifest(
    json(
      manifest({
        artifactType: 'a/b',
        annotations: { k: 'v' },
        subject: descriptor(),
        layers: [descriptor({ annotations: { x: 'y' }, urls: ['https://x.example/'] })],
      }),
    ),
    undefined,
  )
  assert.deepEqual(parseManifest(encodeManifest(parsed), undefined), parsed)
  const index = parseManifest(
    json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [
        descriptor({
          mediaType: MEDIA_TYPES.ociManifest,
          platform: { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' },
        }),
      ],
    }),
    undefined,
  )
  assert.deepEqual(parseManifest(encodeManifest(index), undefined), index)
})

test('layer media types gain and lose the suffix, docker types become OCI types', () => {
  assert.deepEqual(layerType(MEDIA_TYPES.ociLayerZstd), { compression: 'zstd', encrypted: false })
  assert.deepEqual(layerType(MEDIA_TYPES.dockerLayerGzip), {
    compression: 'gzip',
    encrypted: false,
  })
  const encrypted = encryptedMediaType(MEDIA_TYPES.dockerLayerGzip)
  assert.equal(encrypted, `${MEDIA_TYPES.ociLayerGzip}+encrypted`)
  assert.deepEqual(layerType(encrypted), { compression: 'gzip', encrypted: true })
  assert.equal(plainMediaType(encrypted), MEDIA_TYPES.ociLayerGzip)
  assert.throws(() => encryptedMediaType(encrypted), { code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED' })
  assert.throws(() => plainMediaType(MEDIA_TYPES.ociLayerTar), {
    code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED',
  })
  assert.throws(() => layerType(`${MEDIA_TYPES.dockerLayerGzip}+enc`), /2019/)
  assert.throws(() => layerType(`${MEDIA_TYPES.dockerLayerGzip}+encrypted`), {
    code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED',
  })
  assert.equal(dockerMediaType(MEDIA_TYPES.ociLayerZstd), undefined)
  const wasm = 'application/vnd.wasm.content.layer.v1+wasm'
  assert.equal(encryptedMediaType(wasm), `${wasm}+encrypted`)
  assert.throws(() => encryptedMediaType('application/vnd.in-toto+json'), {
    code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED',
  })
  for (const type of [wasm, encrypted, MEDIA_TYPES.dockerLayerTar]) assert.ok(isLayerType(type))
  for (const type of ['application/vnd.in-toto+json', `${MEDIA_TYPES.dockerLayerGzip}+encrypted`]) {
    assert.equal(isLayerType(type), false)
  }
})

test('convertManifest() keeps blobs and refuses what docker cannot say', () => {
  const oci = parseImageManifest(json(manifest()), undefined)
  const docker = convertManifest(oci, 'v2s2')
  assert.equal(docker.mediaType, MEDIA_TYPES.dockerManifest)
  assert.equal(docker.layers[0]?.mediaType, MEDIA_TYPES.dockerLayerGzip)
  assert.deepEqual(convertManifest(docker, 'oci'), oci)
  const encrypted = manifest({
    layers: [descriptor({ mediaType: encryptedMediaType(MEDIA_TYPES.ociLayerGzip) })],
  })
  assert.throws(() => convertManifest(parseImageManifest(json(encrypted), undefined), 'v2s2'), {
    code: 'IMAGE_MEDIA_TYPE_UNSUPPORTED',
  })
})

test('selectManifest() matches system, architecture and the best variant', () => {
  const entry = (digit: string, platform: object | undefined, type = MEDIA_TYPES.ociManifest) =>
    descriptor({ mediaType: type, digest: `sha256:${digit.repeat(64)}`, platform })
  const index = parseImageIndex(
    json({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: [
        entry('0', { os: 'unknown', architecture: 'unknown' }),
        { ...entry('1', { os: 'linux', architecture: 'amd64' }), mediaType: 'application/x.y' },
        entry('2', { os: 'linux', architecture: 'amd64', variant: 'v3' }),
        entry('3', { os: 'linux', architecture: 'amd64' }),
        entry('4', { os: 'linux', architecture: 'arm', variant: 'v5' }),
        entry('5', { os: 'linux', architecture: 'arm', variant: 'v6' }),
        entry('6', { os: 'linux', architecture: 'arm64', variant: 'v8' }),
        entry('7', { os: 'windows', architecture: 'amd64' }),
      ],
    }),
    undefined,
  )
  const pick = (text: string) => selectManifest(index, parsePlatformText(text)).digest[7]
  assert.equal(pick('linux/amd64'), '3')
  assert.equal(pick('amd64'), '3')
  assert.equal(pick('linux/amd64/v4'), '2')
  assert.equal(pick('linux/amd64/v2'), '3')
  assert.equal(pick('linux/arm'), '5')
  assert.equal(pick('linux/arm/v5'), '4')
  assert.equal(pick('linux/arm64'), '6')
  assert.throws(() => pick('linux/s390x'), { code: 'IMAGE_PLATFORM_MISSING' })
})

const config = (extra: object = {}): object => ({
  os: 'linux',
  architecture: 'amd64',
  config: {},
  rootfs: { type: 'layers', diff_ids: [DIGEST] },
  ...extra,
})

test('parseImageConfig() fills what is absent and checks what is there', () => {
  const parsed = parseImageConfig(
    json(
      config({
        config: {
          User: '1000:1000',
          Env: ['A=b'],
          Cmd: null,
          Entrypoint: ['/x'],
          Volumes: { '/data': {} },
          ExposedPorts: { '80/tcp': {} },
          Labels: { l: 'm' },
        },
        history: [],
        container_config: {},
      }),
    ),
  )
  assert.deepEqual(parsed.config.Volumes, ['/data'])
  assert.deepEqual(parsed.config.ExposedPorts, ['80/tcp'])
  assert.deepEqual(parsed.config.Cmd, [])
  assert.equal(parsed.config.WorkingDir, '')
  assert.deepEqual(parsed.rootfs.diffIds, [DIGEST])
  const bad = [
    config({ os: undefined }),
    config({ rootfs: { type: 'squashfs', diff_ids: [] } }),
    config({ config: { Env: ['A=\0'] } }),
    config({ config: { Cmd: 'sh' } }),
    config({ config: { user: 'root' } }),
    config({ OS: 'windows' }),
  ]
  for (const value of bad) {
    assert.throws(() => parseImageConfig(json(value)), { code: 'IMAGE_CONFIG_INVALID' })
  }
  assert.throws(
    () => parseImageConfig(json(config({ rootfs: { type: 'layers', diff_ids: ['x'] } }))),
    { code: 'IMAGE_DIGEST_INVALID' },
  )
})

test('checkImageConfig() refuses another number of layers and another platform', () => {
  const image = parseImageManifest(json(manifest()), undefined)
  const right = parseImageConfig(json(config()))
  checkImageConfig(right, image, { os: 'linux', architecture: 'amd64' })
  assert.throws(() => checkImageConfig(right, { ...image, layers: [] }), {
    code: 'IMAGE_CONFIG_INVALID',
  })
  assert.throws(() => checkImageConfig(right, image, { os: 'linux', architecture: 'arm64' }), {
    code: 'IMAGE_PLATFORM_MISSING',
  })
})
