import assert from 'node:assert/strict'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { concat, utf8 } from '#lib/bytes'
import {
  type Descriptor,
  digestHex,
  digestOf,
  encodeManifest,
  encryptedMediaType,
  MEDIA_TYPES,
  type Platform,
  parseManifest,
} from '#lib/oci'
import { createRegistryClient } from '#lib/registry'
import { MemoryImage } from '../../../test/support/memory-image.ts'
import { reply, TestRegistry } from '../../../test/support/registry.ts'
import { type CopyOptions, copyImage } from './copy.ts'
import { parseImageName } from './image-name.ts'
import { inspectImage } from './inspect.ts'
import type { LayerTransform } from './layer-transform.ts'
import { openDestination, openSource } from './open.ts'
import { inParallel } from './parallel.ts'
import type { RegistryAccess } from './registry-access.ts'
import type { ImageSource } from './transport.ts'

const AMD64: Platform = { os: 'linux', architecture: 'amd64' }
const ARM64: Platform = { os: 'linux', architecture: 'arm64', variant: 'v8' }
const ACCESS: RegistryAccess = {
  tlsVerify: undefined,
  certDir: undefined,
  credentials: undefined,
  authFile: undefined,
  env: {},
  signal: new AbortController().signal,
  note: () => {},
}
const quiet = { update: () => {}, done: () => {}, fail: () => {} }
const OPTIONS: CopyOptions = { platform: AMD64, progress: () => quiet }

async function temporary(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), 'enclave-cc-copy-'))
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) }
}

function config(diffIds: readonly string[], architecture = 'amd64'): Uint8Array {
  return utf8(
    JSON.stringify({
      os: 'linux',
      architecture,
      config: { Cmd: ['/app'] },
      rootfs: { type: 'layers', diff_ids: diffIds },
    }),
  )
}

async function sample(
  layers: readonly Uint8Array[] = [utf8('one'), utf8('two')],
): Promise<MemoryImage> {
  const image = new MemoryImage('registry.example/team/app:1')
  await image.put(layers, config(layers.map((layer) => digestOf(layer))))
  return image
}

/** An index of two platforms and a build attestation, in docker's or in OCI's types. */
async function sampleIndex(docker = false): Promise<MemoryImage> {
  const image = new MemoryImage('registry.example/team/app:1')
  const entries: Descriptor[] = []
  for (const platform of [AMD64, ARM64]) {
    const layer = utf8(`layer of ${platform.architecture}`)
    const blob = (bytes: Uint8Array, mediaType: string): Descriptor => {
      image.blobs.set(digestOf(bytes), bytes)
      return { mediaType, digest: digestOf(bytes), size: bytes.length }
    }
    const mediaType = docker ? MEDIA_TYPES.dockerManifest : MEDIA_TYPES.ociManifest
    const bytes = encodeManifest({
      kind: 'manifest',
      mediaType,
      config: blob(
        config([digestOf(layer)], platform.architecture),
        docker ? MEDIA_TYPES.dockerConfig : MEDIA_TYPES.ociConfig,
      ),
      layers: [blob(layer, docker ? MEDIA_TYPES.dockerLayerGzip : MEDIA_TYPES.ociLayerGzip)],
    })
    entries.push({ mediaType, platform, ...(await image.manifest(bytes, mediaType)) })
  }
  if (!docker) {
    const statement = utf8('{}')
    image.blobs.set(digestOf(statement), statement)
    const part = { digest: digestOf(statement), size: 2 }
    const bytes = encodeManifest({
      kind: 'manifest',
      mediaType: MEDIA_TYPES.ociManifest,
      config: { mediaType: MEDIA_TYPES.ociConfig, ...part },
      layers: [{ mediaType: 'application/vnd.in-toto+json', ...part }],
    })
    entries.push({
      mediaType: MEDIA_TYPES.ociManifest,
      ...(await image.manifest(bytes, MEDIA_TYPES.ociManifest)),
      platform: { os: 'unknown', architecture: 'unknown' },
      annotations: { 'vnd.docker.reference.digest': entries[0]?.digest ?? '' },
    })
  }
  const mediaType = docker ? MEDIA_TYPES.dockerManifestList : MEDIA_TYPES.ociIndex
  await image.commit(encodeManifest({ kind: 'index', mediaType, manifests: entries }), mediaType)
  return image
}

/** Turns each layer into itself with a mark, as an encryption would. */
const MARK: LayerTransform = (layer) => ({
  content: async function* (source) {
    yield utf8('mark ')
    yield* source
  },
  finish: async () => ({
    mediaType: encryptedMediaType(layer.mediaType),
    annotations: { marked: 'yes' },
  }),
})

test('names have a transport, and those that come later say so', () => {
  assert.deepEqual(parseImageName('oci:dir/a:v1', false), {
    transport: 'oci',
    text: 'oci:dir/a:v1',
    directory: 'dir/a',
    tag: 'v1',
  })
  assert.equal(parseImageName('docker://alpine', false).transport, 'docker')
  assert.equal(parseImageName('alpine', true).text, 'docker://alpine')
  for (const text of ['dir:x', 'oci-archive:x.tar', 'docker-archive:x.tar:y', 'alpine']) {
    assert.throws(() => parseImageName(text, false), { code: 'IMAGE_TRANSPORT_UNSUPPORTED' })
  }
  for (const text of ['oci:', 'oci::tag', 'oci:d:..', 'oci:d:a b', 'oci:d:']) {
    assert.throws(() => parseImageName(text, false), { code: 'USAGE' })
  }
})

test('an image goes into a layout and out again with the same digest', async () => {
  await using folder = await temporary()
  const image = await sample()
  const name = `oci:${folder.path}/layout:v1`
  await using into = await openDestination(name, ACCESS)
  const written = await copyImage(image, into, OPTIONS)
  assert.equal(written.digest, (await image.top()).digest)
  await using out = await openSource(name, ACCESS)
  const copy = new MemoryImage(undefined)
  assert.equal((await copyImage(out, copy, OPTIONS)).digest, written.digest)
  assert.deepEqual([...copy.blobs.keys()].sort(), [...image.blobs.keys()].sort())
  const left = await readdir(join(folder.path, 'layout'))
  assert.deepEqual(left.sort(), ['blobs', 'index.json', 'oci-layout'])
})

test('a layout keeps its other images; the same name moves; no name means the only one', async () => {
  await using folder = await temporary()
  const digests = []
  for (const [tag, text] of [
    ['a', '1'],
    ['b', '2'],
    ['a', '3'],
  ] as const) {
    await using into = await openDestination(`oci:${folder.path}:${tag}`, ACCESS)
    digests.push((await copyImage(await sample([utf8(text)]), into, OPTIONS)).digest)
  }
  const top = async (name: string): Promise<string> => {
    await using source = await openSource(name, ACCESS)
    return (await source.top()).digest
  }
  assert.equal(await top(`oci:${folder.path}:a`), digests[2])
  assert.equal(await top(`oci:${folder.path}:b`), digests[1])
  await assert.rejects(top(`oci:${folder.path}`), { code: 'IMAGE_NOT_FOUND', message: /b, a/ })
  await assert.rejects(top(`oci:${folder.path}:c`), { code: 'IMAGE_NOT_FOUND' })
  await assert.rejects(top(`oci:${folder.path}/none`), { code: 'IMAGE_LAYOUT_INVALID' })
})

test('a failed copy leaves no layout, and no half blob in one that was there', async () => {
  await using folder = await temporary()
  const bad = await sample()
  const [first = ''] = bad.blobs.keys()
  bad.blobs.set(first, utf8('other'))
  const directory = join(folder.path, 'layout')
  const failing = async (): Promise<void> => {
    await using into = await openDestination(`oci:${directory}:v1`, ACCESS)
    await copyImage(bad, into, OPTIONS)
  }
  await assert.rejects(failing(), { code: 'IMAGE_SIZE_MISMATCH' })
  assert.deepEqual(await readdir(folder.path), [])
  {
    await using into = await openDestination(`oci:${directory}:v0`, ACCESS)
    await copyImage(await sample([utf8('x')]), into, OPTIONS)
  }
  await assert.rejects(failing(), { code: 'IMAGE_SIZE_MISMATCH' })
  const left = await readdir(directory)
  assert.deepEqual(left.sort(), ['blobs', 'index.json', 'oci-layout'])
  await using still = await openSource(`oci:${directory}:v0`, ACCESS)
  assert.equal((await still.top()).manifest.kind, 'manifest')
})

test('a folder with other files does not become a layout', async () => {
  await using folder = await temporary()
  await writeFile(join(folder.path, 'precious'), 'x')
  await assert.rejects(openDestination(`oci:${folder.path}:v1`, ACCESS), {
    code: 'IMAGE_LAYOUT_INVALID',
  })
  assert.deepEqual(await readdir(folder.path), ['precious'])
})

test('blobs of a layout that were changed, lost or replaced by links are refused', async () => {
  await using folder = await temporary()
  const layer = utf8('content of the layer')
  {
    await using into = await openDestination(`oci:${folder.path}:v1`, ACCESS)
    await copyImage(await sample([layer]), into, OPTIONS)
  }
  const path = join(folder.path, 'blobs/sha256', digestHex(digestOf(layer)))
  const read = async (): Promise<unknown> => {
    await using source = await openSource(`oci:${folder.path}:v1`, ACCESS)
    return copyImage(source, new MemoryImage(undefined), OPTIONS)
  }
  await read()
  await writeFile(path, 'Content of the layer')
  await assert.rejects(read(), { code: 'IMAGE_DIGEST_MISMATCH' })
  await writeFile(path, concat(layer, utf8('!')))
  await assert.rejects(read(), { code: 'IMAGE_SIZE_MISMATCH' })
  await rm(path)
  await assert.rejects(read(), { code: 'IMAGE_LAYOUT_INVALID' })
  await symlink('/dev/zero', path)
  await assert.rejects(read(), { code: 'IMAGE_LAYOUT_INVALID' })
  await rm(path)
  await mkdir(path)
  await assert.rejects(read(), { code: 'IMAGE_LAYOUT_INVALID' })
})

test('a hostile index.json is refused', async () => {
  await using folder = await temporary()
  {
    await using into = await openDestination(`oci:${folder.path}:v1`, ACCESS)
    await copyImage(await sample(), into, OPTIONS)
  }
  const path = join(folder.path, 'index.json')
  const good = await readFile(path, 'utf8')
  for (const text of [
    good.replace(/sha256:[0-9a-f]{64}/, `sha256:${'../'.repeat(21)}x`),
    good.replace('{', '{"config":{},'),
    good.replace('"manifests"', '"manifests":[],"manifests"'),
    'null',
  ]) {
    await writeFile(path, text)
    await assert.rejects(openSource(`oci:${folder.path}:v1`, ACCESS), {
      code: 'IMAGE_LAYOUT_INVALID',
    })
  }
})

test('of an index one image is copied, or with all the whole unchanged', async () => {
  const image = await sampleIndex()
  const one = new MemoryImage(undefined)
  const copied = await copyImage(image, one, { ...OPTIONS, platform: ARM64 })
  assert.equal(copied.images.length, 1)
  assert.deepEqual(copied.images[0]?.platform, ARM64)
  const all = new MemoryImage(undefined)
  const result = await copyImage(image, all, { ...OPTIONS, all: true, preserveDigests: true })
  assert.equal(result.digest, (await image.top()).digest)
  assert.equal(result.images.length, 3)
  assert.deepEqual([...all.blobs.keys()].sort(), [...image.blobs.keys()].sort())
  await assert.rejects(copyImage(image, one, { ...OPTIONS, platform: { ...AMD64, os: 'plan9' } }), {
    code: 'IMAGE_PLATFORM_MISSING',
  })
})

test('formats convert both ways and keep every blob', async () => {
  const docker = await sampleIndex(true)
  const oci = new MemoryImage(undefined)
  const there = await copyImage(docker, oci, { ...OPTIONS, all: true, format: 'oci' })
  assert.equal(there.mediaType, MEDIA_TYPES.ociIndex)
  const back = new MemoryImage(undefined)
  const again = await copyImage(oci, back, { ...OPTIONS, all: true, format: 'v2s2' })
  assert.equal(again.digest, (await docker.top()).digest)
  assert.deepEqual([...back.blobs.keys()].sort(), [...docker.blobs.keys()].sort())
  const strict = { ...OPTIONS, all: true, format: 'oci', preserveDigests: true } as const
  await assert.rejects(copyImage(docker, oci, strict), { code: 'IMAGE_DIGEST_CHANGES' })
})

test('a layout takes OCI manifests only: docker ones are converted', async () => {
  await using folder = await temporary()
  const docker = await sampleIndex(true)
  await using into = await openDestination(`oci:${folder.path}/l:v1`, ACCESS)
  assert.equal((await copyImage(docker, into, OPTIONS)).mediaType, MEDIA_TYPES.ociManifest)
  await assert.rejects(copyImage(docker, into, { ...OPTIONS, format: 'v2s2' }), { code: 'USAGE' })
  await assert.rejects(copyImage(docker, into, { ...OPTIONS, preserveDigests: true }), {
    code: 'IMAGE_DIGEST_CHANGES',
  })
})

test('changed layers make OCI manifests, and attestations stay and follow the new digest', async () => {
  for (const docker of [false, true]) {
    const image = await sampleIndex(docker)
    const into = new MemoryImage(undefined)
    const asked: string[] = []
    const result = await copyImage(image, into, {
      ...OPTIONS,
      all: true,
      transform: (layer, place) => {
        asked.push(layer.mediaType)
        return MARK(layer, place)
      },
    })
    assert.equal(result.mediaType, MEDIA_TYPES.ociIndex)
    assert.ok(!asked.includes('application/vnd.in-toto+json'))
    const { manifest } = await into.top()
    assert.ok(manifest.kind === 'index')
    for (const entry of manifest.manifests.slice(0, 2)) {
      const child = (await into.listed(entry)).manifest
      assert.ok(child.kind === 'manifest')
      const [layer] = child.layers
      assert.equal(layer?.mediaType, `${MEDIA_TYPES.ociLayerGzip}+encrypted`)
      assert.equal(layer?.annotations?.marked, 'yes')
      const stored = Buffer.from(into.blobs.get(layer?.digest ?? '') ?? []).toString()
      assert.equal(stored, `mark layer of ${entry.platform?.architecture}`)
      assert.equal(layer?.size, stored.length)
    }
    const attestation = manifest.manifests[2]
    const described = attestation?.annotations?.['vnd.docker.reference.digest']
    if (!docker) assert.equal(described, manifest.manifests[0]?.digest)
  }
})

test('a layer whose descriptor alone changes keeps its blob', async () => {
  const image = await sample()
  const into = new MemoryImage(undefined)
  const { images } = await copyImage(image, into, {
    ...OPTIONS,
    transform: (layer) => ({
      finish: async () => ({ mediaType: layer.mediaType, annotations: { added: 'recipient' } }),
    }),
  })
  assert.deepEqual([...into.blobs.keys()].sort(), [...image.blobs.keys()].sort())
  assert.equal(images[0]?.manifest.layers[0]?.annotations?.added, 'recipient')
})

test('a destination named by a digest takes no other', async () => {
  const image = await sample()
  const { digest } = await image.top()
  const right = new MemoryImage(`registry.example/x@${digest}`)
  await copyImage(image, right, OPTIONS)
  const wrong = new MemoryImage(`registry.example/x@${digestOf(utf8('x'))}`)
  await assert.rejects(copyImage(image, wrong, OPTIONS), { code: 'IMAGE_DIGEST_CHANGES' })
})

test('progress is told of each blob, and of its failure', async () => {
  const image = await sample([utf8('a'.repeat(10))])
  const seen: string[] = []
  const progress = (label: string): typeof quiet => ({
    update: (done = 0, total = 0) => void seen.push(`${label.split(' ')[0]} ${done}/${total}`),
    done: (text = '') => void seen.push(`done ${text}`),
    fail: () => void seen.push('fail'),
  })
  const into = new MemoryImage(undefined)
  await copyImage(image, into, { ...OPTIONS, progress })
  assert.ok(seen.includes('layer 10/10'))
  seen.length = 0
  await copyImage(image, into, { ...OPTIONS, progress })
  assert.deepEqual(seen, ['done is there already', 'done is there already'])
})

test('an aborted copy throws its reason and leaves nothing', async () => {
  await using folder = await temporary()
  const controller = new AbortController()
  const reason = new Error('interrupted')
  const copying = async (): Promise<void> => {
    await using into = await openDestination(`oci:${folder.path}/layout:v1`, ACCESS)
    await copyImage(await sample(), into, {
      ...OPTIONS,
      signal: controller.signal,
      progress: () => ({ ...quiet, update: () => controller.abort(reason) }),
    })
  }
  await assert.rejects(copying(), reason)
  assert.deepEqual(await readdir(folder.path), [])
})

test('inParallel() keeps order, limits what runs, and waits for the rest after a failure', async () => {
  let running = 0
  let most = 0
  const work = async (n: number): Promise<number> => {
    most = Math.max(most, ++running)
    await new Promise(setImmediate)
    running--
    if (n === 3) throw new Error('three')
    return n * 2
  }
  assert.deepEqual(await inParallel(2, [1, 2, 4, 5], work), [2, 4, 8, 10])
  assert.equal(most, 2)
  await assert.rejects(inParallel(2, [1, 2, 3, 4, 5, 6, 7, 8], work), /three/)
  assert.equal(running, 0)
})

/** A source over the registry client and a registry in memory. */
function registrySource(registry: TestRegistry, tag: string): ImageSource {
  const client = createRegistryClient({
    host: 'registry.example',
    repository: 'team/app',
    transport: registry.transport,
    clock: { now: () => 0, random: () => 0, sleep: async () => {} },
  })
  return {
    text: `docker://registry.example/team/app:${tag}`,
    reference: { host: 'registry.example', repository: 'team/app', tag },
    top: () => client.manifest(tag),
    listed: (entry) => client.listedManifest(entry),
    tagged: (other) => client.findManifest(other),
    referrers: (digest) => client.referrers(digest),
    blob: (descriptor) => client.blob(descriptor),
    [Symbol.asyncDispose]: async () => {},
  }
}

test('inspectImage() shows layers, recipients and signatures in both places', async () => {
  const registry = new TestRegistry()
  const image = await sample()
  for (const bytes of image.blobs.values()) registry.addBlob('team/app', bytes)
  const { manifest } = await image.top()
  assert.ok(manifest.kind === 'manifest')
  const [plain, other] = manifest.layers
  assert.ok(plain !== undefined && other !== undefined)
  const encrypted = { ...other, mediaType: encryptedMediaType(other.mediaType) }
  const bytes = encodeManifest({ ...manifest, layers: [plain, encrypted] })
  const digest = registry.addManifest('team/app', bytes, manifest.mediaType, 'v1')
  const empty = {
    mediaType: MEDIA_TYPES.ociEmpty,
    digest: registry.addBlob('team/app', utf8('{}')),
    size: 2,
  }
  const artifact = (layer: string, extra: object): Uint8Array =>
    encodeManifest({
      kind: 'manifest',
      mediaType: MEDIA_TYPES.ociManifest,
      config: empty,
      layers: [{ ...empty, mediaType: layer }],
      ...extra,
    })
  registry.addManifest(
    'team/app',
    artifact('application/vnd.dev.cosign.simplesigning.v1+json', {}),
    MEDIA_TYPES.ociManifest,
    `sha256-${digestHex(digest)}.sig`,
  )
  const subject = { mediaType: MEDIA_TYPES.ociManifest, digest, size: bytes.length }
  const bundle = registry.addManifest(
    'team/app',
    artifact('application/vnd.dev.sigstore.bundle.v0.3+json', { subject }),
    MEDIA_TYPES.ociManifest,
  )
  const document = await inspectImage(registrySource(registry, 'v1'), AMD64)
  assert.equal(document.reference, 'registry.example/team/app:v1')
  assert.equal(document.digest, digest)
  assert.deepEqual(document.platform, AMD64)
  assert.deepEqual(
    document.layers.map(({ encrypted, recipients }) => [encrypted, recipients]),
    [
      [false, []],
      [true, []],
    ],
  )
  assert.deepEqual(document.signatures, [
    { scheme: 'simple', signs: digest, stored: `sha256-${digestHex(digest)}.sig` },
    { scheme: 'bundle', signs: digest, stored: bundle },
  ])
})

test('a registry that swaps a layer fails the copy and commits nothing', async () => {
  const registry = new TestRegistry()
  const image = await sample()
  for (const bytes of image.blobs.values()) registry.addBlob('team/app', bytes)
  const { bytes, mediaType } = await image.top()
  registry.addManifest('team/app', bytes, mediaType, 'v1')
  const { manifest } = { manifest: parseManifest(bytes, mediaType) }
  assert.ok(manifest.kind === 'manifest')
  registry.intercept = (request) =>
    request.url.pathname.endsWith(manifest.layers[0]?.digest ?? '?')
      ? reply(200, {}, utf8('ONE'))
      : undefined
  const into = new MemoryImage(undefined)
  await assert.rejects(copyImage(registrySource(registry, 'v1'), into, OPTIONS), {
    code: 'IMAGE_DIGEST_MISMATCH',
  })
  assert.equal(into.manifests.size, 0)
})
