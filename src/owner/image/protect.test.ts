import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { concat, toBase64, utf8 } from '#lib/bytes'
import { digestOf, encodeManifest, MEDIA_TYPES, parseImageManifest, parseReference } from '#lib/oci'
import { parsePolicy } from '#lib/signing'
import { newSigningKey } from '#lib/signing/sign'
import { MemoryImage } from '../../../test/support/memory-image.ts'
import { decompressed } from './decompressed.ts'
import { decryptImage } from './decrypt.ts'
import { readUnwrappers } from './decryption-keys.ts'
import { encryptImage } from './encrypt.ts'
import { readRecipients } from './encryption-recipients.ts'
import { writeKeyPair } from './key-files.ts'
import { parseLayerSelection } from './layer-selection.ts'
import type { LayerTransform } from './layer-transform.ts'
import { askPassphrase, newPassphrase } from './passphrase.ts'
import type { ResourceClient } from './resource-client.ts'
import { digestsToSign, signDigest } from './sign.ts'
import { policyOfKey, verdictText, verifyImage } from './verify.ts'

const signal = new AbortController().signal
const quiet = { env: {}, signal, warn: () => {} }
const noBroker = () => assert.fail('the broker was asked')
const amd64 = { os: 'linux', architecture: 'amd64' }

function broker(resources = new Map<string, Uint8Array>()): ResourceClient & {
  readonly resources: Map<string, Uint8Array>
} {
  return {
    resources,
    get: async (uri) => resources.get(uri),
    create: async (uri, bytes) => {
      if (!resources.has(uri)) resources.set(uri, bytes)
    },
  }
}

async function inFolder(run: (dir: string) => Promise<void>): Promise<void> {
  const dir = await mkdtemp(join(tmpdir(), 'protect-test-'))
  try {
    await run(dir)
  } finally {
    await rm(dir, { recursive: true, force: true })
  }
}

const layers = ['one', 'two', 'three'].map((text) => utf8(text.repeat(20_000)))
const configFor = (plain: readonly Uint8Array[]) =>
  utf8(
    JSON.stringify({
      os: 'linux',
      architecture: 'amd64',
      config: {},
      rootfs: { type: 'layers', diff_ids: plain.map((bytes) => digestOf(bytes)) },
    }),
  )

async function plainImage(): Promise<MemoryImage> {
  const image = new MemoryImage('registry.example/app:1')
  await image.put(
    layers.map((bytes) => gzipSync(bytes)),
    configFor(layers),
  )
  return image
}

/** Copies the one manifest of an image, as `copyImage` does. */
async function copy(from: MemoryImage, to: MemoryImage, transform: LayerTransform): Promise<void> {
  const top = await from.top()
  const manifest = parseImageManifest(top.bytes, top.mediaType)
  for (const [digest, bytes] of from.blobs) to.blobs.set(digest, bytes)
  const changed = []
  for (const [index, layer] of manifest.layers.entries()) {
    const change = await transform(layer, { index, count: manifest.layers.length })
    if (change?.content === undefined) {
      changed.push(layer)
      continue
    }
    const name = await to.blob(change.content(from.blob(layer)))
    changed.push({ ...name, ...(await change.finish()) })
  }
  await to.commit(encodeManifest({ ...manifest, layers: changed }), manifest.mediaType)
}

test('an image encrypted for a broker resource decrypts with it and with nothing else', async () => {
  const [from, to, back] = [
    await plainImage(),
    new MemoryImage(undefined),
    new MemoryImage(undefined),
  ]
  const client = broker()
  const uri = 'kbs:///acme/image-kek/app'
  const recipients = await readRecipients([uri], async () => client)
  assert.equal(client.resources.get(uri)?.length, 32)
  const encryption = encryptImage(parseLayerSelection([]))
  await copy(from, to, encryption.transform(recipients))
  await encryption.verify(to)
  const { manifest } = await to.top()
  assert.ok(manifest.kind === 'manifest')
  for (const layer of manifest.layers) assert.match(layer.mediaType, /\+gzip\+encrypted$/)

  const unwrappers = await readUnwrappers([uri], quiet, async () => client)
  await copy(to, back, await decryptImage(to, unwrappers, signal))
  assert.equal((await back.top()).digest, (await from.top()).digest)

  const other = broker(new Map([[uri, randomBytes(32)]]))
  const wrong = await readUnwrappers([uri], quiet, async () => other)
  await assert.rejects(async () => copy(to, back, await decryptImage(to, wrong, signal)), {
    code: 'LAYER_KEY_UNAVAILABLE',
  })
  const elsewhere = await readUnwrappers(['kbs:///acme/image-kek/other'], quiet, async () => client)
  await assert.rejects(async () => copy(to, back, await decryptImage(to, elsewhere, signal)), {
    code: 'LAYER_KEY_UNAVAILABLE',
  })
})

test('a second image uses the key that the broker holds, and a bad one there is refused', async () => {
  const kek = randomBytes(32)
  const uri = 'kbs:///acme/image-kek/app'
  const client = broker(new Map([[uri, new Uint8Array(kek)]]))
  const recipients = await readRecipients([uri], async () => client)
  assert.deepEqual(recipients.packets[0]?.kek, new Uint8Array(kek))
  client.resources.set(uri, utf8('not 32 bytes'))
  await assert.rejects(
    readRecipients([uri], async () => client),
    { code: 'KEK_INVALID' },
  )
})

test('only the selected layers become encrypted', async () => {
  const [from, to] = [await plainImage(), new MemoryImage(undefined)]
  const recipients = await readRecipients(['kbs:///a/b/c'], async () => broker())
  const encryption = encryptImage(parseLayerSelection(['0', '-1']))
  await copy(from, to, encryption.transform(recipients))
  await encryption.verify(to)
  const { manifest } = await to.top()
  assert.ok(manifest.kind === 'manifest')
  assert.deepEqual(
    manifest.layers.map(({ mediaType }) => mediaType.endsWith('+encrypted')),
    [true, false, true],
  )
  for (const bad of ['3', '-4', 'x', '1.5', '']) {
    assert.throws(() => parseLayerSelection([bad])({ index: 0, count: 3 }), { code: 'USAGE' })
  }
})

test('what was written in the clear, or changed after writing, is noticed', async () => {
  const recipients = await readRecipients(['kbs:///a/b/c'], async () => broker())
  const encryption = encryptImage(parseLayerSelection([]))
  const [from, to] = [await plainImage(), new MemoryImage(undefined)]
  // A transform that was passed over: the copy is in the clear.
  await copy(from, to, () => undefined)
  await assert.rejects(encryption.verify(to), { code: 'OUTPUT_UNVERIFIED' })
  await copy(from, to, encryption.transform(recipients))
  const { manifest } = await to.top()
  assert.ok(manifest.kind === 'manifest')
  const [first, ...rest] = manifest.layers
  assert.ok(first)
  const rewritten = async (layer: object): Promise<MemoryImage> => {
    const image = new MemoryImage(undefined)
    for (const [digest, blob] of to.blobs) image.blobs.set(digest, blob)
    const layers = [{ ...first, ...layer }, ...rest]
    await image.commit(encodeManifest({ ...manifest, layers }), manifest.mediaType)
    return image
  }
  const plain = await rewritten({ mediaType: MEDIA_TYPES.ociLayerGzip })
  await assert.rejects(encryption.verify(plain), /its type is/)
  const exchanged = await rewritten({ annotations: rest[0]?.annotations })
  await assert.rejects(encryption.verify(exchanged), /its HMAC is another/)
  const bytes = (to.blobs.get(first.digest) as Uint8Array).slice()
  bytes[0] = (bytes[0] as number) ^ 1
  to.blobs.set(first.digest, bytes)
  await assert.rejects(encryption.verify(to), { code: 'LAYER_MAC_MISMATCH' })
  const empty = new MemoryImage(undefined)
  await empty.put([], configFor([]))
  await assert.rejects(encryption.verify(empty), { code: 'IMAGE_NOT_ENCRYPTED' })
})

test('a layer encrypted anew for the same public key is refused by its diff_id', async () => {
  // The attack: HMAC and wrapped key are good, for anyone can make them; the content is another.
  await inFolder(async (dir) => {
    const { generateKeyPairSync } = await import('node:crypto')
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    await writeFile(join(dir, 'a.pub.pem'), publicKey.export({ format: 'pem', type: 'spki' }))
    await writeFile(join(dir, 'a.pem'), privateKey.export({ format: 'pem', type: 'pkcs8' }))
    const recipients = await readRecipients([`jwe:${join(dir, 'a.pub.pem')}`], noBroker)
    const evil = new MemoryImage('registry.example/app:1')
    await evil.put(
      layers.map(() => gzipSync(utf8('evil'))),
      configFor(layers),
    )
    const encryption = encryptImage(parseLayerSelection([]))
    const [to, back] = [new MemoryImage(undefined), new MemoryImage(undefined)]
    await copy(evil, to, encryption.transform(recipients))
    await encryption.verify(to)
    const unwrappers = await readUnwrappers([join(dir, 'a.pem')], quiet, noBroker)
    await assert.rejects(async () => copy(to, back, await decryptImage(to, unwrappers, signal)), {
      code: 'OUTPUT_UNVERIFIED',
      message: /the configuration says/,
    })
  })
})

test('decrypting an image that has nothing encrypted is an error', async () => {
  await assert.rejects(decryptImage(await plainImage(), [], signal), {
    code: 'IMAGE_NOT_ENCRYPTED',
  })
})

test('recipients are read as skopeo and CoCo write them, the rest is refused by name', async () => {
  await inFolder(async (dir) => {
    const path = join(dir, 'kek')
    await writeFile(path, new Uint8Array(32).fill(3))
    const provider = 'provider:attestation-agent'
    const good = `${provider}:keypath=${path}::keyid=kbs:///a/b/c::algorithm=A256GCM`
    const { packets } = await readRecipients([good], noBroker)
    assert.deepEqual(packets, [{ kid: 'kbs:///a/b/c', kek: new Uint8Array(32).fill(3) }])
    const cases: [string, string][] = [
      ['pkcs7:/x', 'SCHEME_UNSUPPORTED'],
      ['pgp:me@example.com', 'SCHEME_UNSUPPORTED'],
      ['pkcs11:/x', 'SCHEME_UNSUPPORTED'],
      ['provider:other:x=y', 'SCHEME_UNSUPPORTED'],
      [`${provider}:sample=true`, 'SCHEME_UNSUPPORTED'],
      [`${provider}:keypath=${path}`, 'USAGE'],
      [`${provider}:keyid=kbs:///a/b/c`, 'USAGE'],
      [`${provider}:keypath=${path}::keyid=/a/b/c`, 'RESOURCE_URI_INVALID'],
      [`${good}::extra=1`, 'USAGE'],
      [`${provider}:keypath=${path}::keyid=kbs:///a/b/c::algorithm=A256CTR`, 'USAGE'],
      [`jwe:${path}`, 'KEY_INVALID'],
      [`jwe:${path}.missing`, 'INPUT_UNREADABLE'],
      ['kbs:///only/two', 'RESOURCE_URI_INVALID'],
      ['/x.pem', 'USAGE'],
    ]
    for (const [value, code] of cases) {
      await assert.rejects(readRecipients([value], noBroker), { code }, value)
    }
    await assert.rejects(readRecipients([], noBroker), { code: 'USAGE' })
    await writeFile(path, 'c2hvcnQ=\n')
    await assert.rejects(readRecipients([good], noBroker), { code: 'KEK_INVALID' })
  })
})

test('passphrases come from files, descriptors and the environment, never from the command line', async () => {
  await inFolder(async (dir) => {
    const { generateKeyPairSync } = await import('node:crypto')
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const path = join(dir, 'a.pem')
    const locked = { cipher: 'aes-256-cbc', passphrase: 'secret' }
    await writeFile(path, privateKey.export({ format: 'pem', type: 'pkcs8', ...locked }))
    await writeFile(join(dir, 'pass'), 'secret\n')
    const env = { COSIGN_PASSWORD: 'secret' }
    assert.equal((await readUnwrappers([path], { ...quiet, env }, noBroker)).length, 1)
    const fromFile = [`${path}:file=${join(dir, 'pass')}`]
    assert.equal((await readUnwrappers(fromFile, quiet, noBroker)).length, 1)
    const { open } = await import('node:fs/promises')
    await using file = await open(join(dir, 'pass'))
    assert.equal((await readUnwrappers([`${path}:fd=${file.fd}`], quiet, noBroker)).length, 1)
    for (const value of [`${path}:secret`, `${path}:pass=secret`]) {
      await assert.rejects(readUnwrappers([value], quiet, noBroker), (error: Error) => {
        assert.equal((error as Error & { code: string }).code, 'USAGE')
        assert.equal(error.message.includes('secret'), false)
        return true
      })
    }
  })
  const both = { ENCLAVE_CC_KEY_PASSWORD: '', COSIGN_PASSWORD: 'x' }
  assert.equal(await askPassphrase({ ...quiet, env: both }, 'key'), '')
  assert.equal(await newPassphrase({ ...quiet, env: { COSIGN_PASSWORD: 'x' } }, 'key'), 'x')
})

test('key files are private, and never overwritten unless that is asked for', async () => {
  await inFolder(async (dir) => {
    const files = {
      privatePath: join(dir, 'k.pem'),
      privateKey: utf8('one'),
      publicPath: join(dir, 'k.pub.pem'),
      publicKey: utf8('ONE'),
    }
    await writeKeyPair(files, false)
    assert.equal((await stat(files.privatePath)).mode & 0o777, 0o600)
    const next = { ...files, privateKey: utf8('two'), publicKey: utf8('TWO') }
    await assert.rejects(writeKeyPair(next, false), { code: 'OUTPUT_EXISTS' })
    assert.equal(await readFile(files.privatePath, 'utf8'), 'one')
    // The public file alone stops it too, and the private one that was begun is gone again.
    await rm(files.privatePath)
    await assert.rejects(writeKeyPair(next, false), { code: 'OUTPUT_EXISTS' })
    await assert.rejects(stat(files.privatePath), { code: 'ENOENT' })
    // A link in the way is replaced, not followed.
    await writeFile(join(dir, 'victim'), 'victim')
    await symlink(join(dir, 'victim'), files.privatePath)
    await writeKeyPair(next, true)
    assert.equal(await readFile(files.privatePath, 'utf8'), 'two')
    assert.equal((await stat(files.privatePath)).mode & 0o777, 0o600)
    assert.equal(await readFile(join(dir, 'victim'), 'utf8'), 'victim')
  })
})

test('a signed image verifies by key and by policy, for its own name only', async () => {
  const image = await plainImage()
  const key = newSigningKey()
  const other = newSigningKey()
  const reference = parseReference('registry.example/app:1')
  const policy = policyOfKey(key.publicPem)
  const unsigned = await verifyImage(image, policy, amd64)
  assert.equal(unsigned.accepted, false)
  assert.equal(unsigned.requirements[0]?.code, 'SIGNATURE_MISSING')
  assert.match(verdictText(unsigned), /refused.*SIGNATURE_MISSING.*next: /s)

  const [digest = ''] = await digestsToSign(image, false)
  await signDigest(image, reference, digest, other, {})
  const stored = await signDigest(image, reference, digest, key, { team: 'a' })
  assert.equal(stored.stored, `registry.example/app:sha256-${digest.slice(7)}.sig`)
  const verdict = await verifyImage(image, policy, amd64)
  assert.deepEqual(
    [verdict.accepted, verdict.digest, verdict.requirements[0]?.signer],
    [true, digest, key.id],
  )
  assert.equal((await verifyImage(image, policyOfKey(other.publicPem), amd64)).accepted, true)

  const moved = new MemoryImage('registry.example/other:1')
  for (const name of ['blobs', 'manifests', 'tags'] as const) {
    for (const [k, v] of image[name] as Map<string, never>) moved[name].set(k, v)
  }
  const top = await image.top()
  await moved.commit(top.bytes, top.mediaType)
  const renamed = await verifyImage(moved, policy, amd64)
  assert.equal(renamed.requirements[0]?.code, 'SIGNATURE_IDENTITY_MISMATCH')
  await assert.rejects(verifyImage(new MemoryImage(undefined), policy, amd64), { code: 'USAGE' })
})

test('a signature over an index covers the manifests that it lists', async () => {
  const image = new MemoryImage('registry.example/app:1')
  const digest = await image.put([gzipSync(utf8('x'))], configFor([utf8('x')]))
  const size = image.manifests.get(digest)?.bytes.length ?? 0
  const entry = { mediaType: MEDIA_TYPES.ociManifest, digest, size, platform: amd64 }
  const index = encodeManifest({
    kind: 'index',
    mediaType: MEDIA_TYPES.ociIndex,
    manifests: [entry],
  })
  const top = await image.commit(index, MEDIA_TYPES.ociIndex)
  assert.deepEqual(await digestsToSign(image, true), [top.digest, digest])
  const key = newSigningKey()
  await signDigest(image, parseReference('registry.example/app:1'), top.digest, key, {})
  const verdict = await verifyImage(image, policyOfKey(key.publicPem), amd64)
  assert.deepEqual([verdict.accepted, verdict.digest], [true, digest])
})

test('a policy that names its key by path reads the file', async () => {
  await inFolder(async (dir) => {
    const image = await plainImage()
    const key = newSigningKey()
    const [digest = ''] = await digestsToSign(image, false)
    await signDigest(image, parseReference('registry.example/app:1'), digest, key, {})
    const keyPath = join(dir, 'a.pub')
    const policy = parsePolicy(
      utf8(JSON.stringify({ default: [{ type: 'sigstoreSigned', keyPath }] })),
    )
    const before = await verifyImage(image, policy, amd64)
    assert.equal(before.requirements[0]?.code, 'IMAGE_POLICY_KEY_UNAVAILABLE')
    await writeFile(keyPath, key.publicPem)
    assert.equal((await verifyImage(image, policy, amd64)).accepted, true)
    assert.notEqual(toBase64(key.publicPem), '')
  })
})

test('decompressed() passes bytes through unchanged and shows what they hold', async () => {
  const plain = randomBytes(300_000)
  for (const [compression, bytes] of [
    ['none', plain],
    ['gzip', gzipSync(plain)],
    ['zstd', zstdCompressSync(plain)],
  ] as const) {
    const seen: Uint8Array[] = []
    const passed: Uint8Array[] = []
    const source = (async function* () {
      for (let at = 0; at < bytes.length; at += 7000) yield bytes.subarray(at, at + 7000)
    })()
    for await (const chunk of decompressed(source, compression, (part) => seen.push(part))) {
      passed.push(chunk)
    }
    assert.ok(plain.equals(concat(...seen)))
    assert.ok(Buffer.from(bytes).equals(concat(...passed)))
  }
  const damaged = (async function* () {
    yield utf8('not gzip at all')
  })()
  await assert.rejects(
    async () => {
      for await (const _ of decompressed(damaged, 'gzip', () => {}));
    },
    { code: 'FORMAT_INVALID' },
  )
})
