// Our registry client, layouts and commands against Debian's docker-registry and skopeo.
import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { utf8 } from '#lib/bytes'
import type { CommandContext, CommandInput, Outcome } from '#lib/command'
import { digestHex, digestOf, encodeManifest, MEDIA_TYPES, type Platform } from '#lib/oci'
import { createRegistryClient, type RegistryClient } from '#lib/registry'
import { createHttpTransport } from '#platform/http'
import { copyCommand } from '../../src/owner/image/copy-command.ts'
import { inspectCommand } from '../../src/owner/image/inspect-command.ts'
import { openDestination, openSource } from '../../src/owner/image/open.ts'
import { registryAccess } from '../../src/owner/image/registry-access.ts'
import { issueCertificate } from '../support/certificate.ts'
import { type DockerRegistry, startDockerRegistry } from '../support/docker-registry.ts'
import { flipByte } from '../support/files.ts'
import { ARCHITECTURE, writeOciImage } from '../support/oci-image.ts'

type Flags = Readonly<Record<string, string | true>>

const missing = ['docker-registry', 'skopeo'].find(
  (program) => spawnSync(program, ['--version']).error !== undefined,
)
const skip = missing === undefined ? false : `${missing} is not installed`

describe('registry, layouts and commands beside docker-registry and skopeo', { skip }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-conformance-'))
  const at = (...parts: string[]): string => join(folder, ...parts)
  let registry: DockerRegistry
  let digest: string

  before(async () => {
    registry = await startDockerRegistry()
    for (const layer of ['base', 'top']) mkdirSync(at(layer))
    writeFileSync(at('base', 'big'), randomBytes(3_000_000))
    writeFileSync(at('top', 'small'), 'hello')
    digest = writeOciImage(at('source'), 'app', {
      layers: [at('base'), at('top')],
      config: { Cmd: ['/bin/app'], Env: ['A=b'] },
    })
    console.log(`docker-registry: ${version('docker-registry')}; skopeo: ${version('skopeo')}`)
  })

  after(async () => {
    await registry[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  test('skopeo inspects and copies what we pushed, digest for digest', async () => {
    const ref = `${registry.host}/ours/app:1`
    const outcome = await copy(`oci:${at('source')}:app`, `docker://${ref}`)
    assert.equal((outcome.document as { digest: string }).digest, digest)
    const seen = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${ref}`))
    assert.equal(seen.Digest, digest)
    skopeo('copy', '--src-tls-verify=false', `docker://${ref}`, `oci:${at('by-skopeo')}:x`)
    assert.equal(await topDigest(`oci:${at('by-skopeo')}:x`), digest)
    assert.deepEqual(blobs(at('by-skopeo')), blobs(at('source')))
  })

  test('we read what skopeo pushed, and skopeo the layout that we wrote', async () => {
    const ref = `${registry.host}/theirs/app:1`
    skopeo('copy', '--dest-tls-verify=false', `oci:${at('source')}:app`, `docker://${ref}`)
    const outcome = await copy(`docker://${ref}`, `oci:${at('ours')}:app`, {
      digestfile: at('digest'),
    })
    assert.equal((outcome.document as { digest: string }).digest, digest)
    assert.equal(readFileSync(at('digest'), 'utf8'), digest)
    assert.deepEqual(blobs(at('ours')), blobs(at('source')))
    assert.equal(JSON.parse(skopeo('inspect', `oci:${at('ours')}:app`)).Digest, digest)
    const raw = skopeo('inspect', '--raw', '--tls-verify=false', `docker://${ref}`)
    const ours = await inspect(ref, { raw: true })
    assert.equal(Buffer.from(ours.bytes ?? []).toString(), raw)
    const config = skopeo('inspect', '--config', '--raw', '--tls-verify=false', `docker://${ref}`)
    const ourConfig = await inspect(ref, { config: true, raw: true })
    assert.equal(Buffer.from(ourConfig.bytes ?? []).toString(), config)
  })

  test('an image of docker schema 2 that skopeo wrote is read, kept or converted', async () => {
    const ref = `${registry.host}/theirs/docker:1`
    skopeo(
      ...['copy', '--dest-tls-verify=false', '--format', 'v2s2'],
      ...[`oci:${at('source')}:app`, `docker://${ref}`],
    )
    const theirs = JSON.parse(skopeo('inspect', '--tls-verify=false', `docker://${ref}`))
    const shown = (await inspect(ref)).document as Record<string, unknown>
    assert.equal(shown.digest, theirs.Digest)
    assert.equal(shown.mediaType, MEDIA_TYPES.dockerManifest)
    // Kept between registries, under its own digest.
    const kept = await copy(`docker://${ref}`, `docker://${registry.host}/ours/docker:1`, {
      'preserve-digests': true,
    })
    assert.equal((kept.document as { digest: string }).digest, theirs.Digest)
    // Converted for a layout; skopeo's own conversion comes to the same image.
    await copy(`docker://${ref}`, `oci:${at('converted')}:app`)
    assert.equal(await topDigest(`oci:${at('converted')}:app`), digest)
    // And back, as skopeo wrote it.
    await copy(`oci:${at('source')}:app`, `docker://${registry.host}/ours/v2s2:1`, {
      format: 'v2s2',
    })
    const back = `docker://${registry.host}/ours/v2s2:1`
    const reread = JSON.parse(skopeo('inspect', '--tls-verify=false', back))
    assert.deepEqual(reread.Layers, theirs.Layers)
  })

  test('an index goes through both with every digest preserved', async () => {
    const index = await writeIndex()
    const ref = `docker://${registry.host}/ours/multi:1`
    const all = { all: true, 'preserve-digests': true } as const
    const pushed = await copy(`oci:${at('multi')}:all`, ref, all)
    assert.equal((pushed.document as { digest: string }).digest, index)
    skopeo(
      ...['copy', '--all', '--preserve-digests', '--src-tls-verify=false'],
      ...[ref, `oci:${at('multi-skopeo')}:all`],
    )
    assert.equal(await topDigest(`oci:${at('multi-skopeo')}:all`), index)
    skopeo(
      ...['copy', '--all', '--preserve-digests', '--dest-tls-verify=false'],
      ...[`oci:${at('multi-skopeo')}:all`, `docker://${registry.host}/theirs/multi:1`],
    )
    await copy(`docker://${registry.host}/theirs/multi:1`, `oci:${at('multi-back')}:all`, all)
    assert.equal(await topDigest(`oci:${at('multi-back')}:all`), index)
    // One image of it, chosen by platform.
    const one = await copy(ref, `oci:${at('one')}:arm`, { platform: 'linux/s390x' })
    const manifest = (one.document as { digest: string }).digest
    assert.equal(JSON.parse(skopeo('inspect', `oci:${at('one')}:arm`)).Architecture, 's390x')
    assert.notEqual(manifest, index)
  })

  test('blobs of a sibling repository are mounted, not sent again', async () => {
    const from = `docker://${registry.host}/ours/app:1`
    await copy(from, `docker://${registry.host}/mounted/app:1`)
    const requests = registry.log.filter((line) => line.includes('/v2/mounted/app/blobs/uploads/'))
    assert.ok(requests.some((line) => line.includes('mount=sha256')))
    assert.ok(!requests.some((line) => /"(PATCH|PUT) /.test(line)))
  })

  test('an upload in chunks, a blob of unknown digest and a mount are taken', async () => {
    const content = new Uint8Array(randomBytes(2_500_000))
    async function* parts(): AsyncGenerator<Uint8Array> {
      for (let i = 0; i < 25; i++) yield content.subarray(i * 100_000, (i + 1) * 100_000)
    }
    for (const chunkSize of [0, 1_000_000]) {
      using transport = createHttpTransport()
      const pusher = client('ours/chunks', transport.send, chunkSize)
      const name = await pusher.pushBlob(parts())
      assert.deepEqual(name, { digest: digestOf(content), size: content.length })
      const back: Uint8Array[] = []
      for await (const chunk of pusher.blob(name)) back.push(chunk)
      assert.deepEqual(new Uint8Array(Buffer.concat(back)), content)
    }
  })

  test('referrers are kept and found although this registry does not know them', async () => {
    using transport = createHttpTransport()
    const signer = client('ours/app', transport.send, 0)
    const image = await signer.manifest('1')
    const empty = utf8('{}')
    async function* once(): AsyncGenerator<Uint8Array> {
      yield empty
    }
    const part = { mediaType: MEDIA_TYPES.ociEmpty, ...(await signer.pushBlob(once())) }
    const subject = {
      mediaType: image.mediaType,
      digest: image.digest,
      size: image.bytes.length,
    }
    const pushed: string[] = []
    for (const text of ['one', 'two']) {
      const bytes = encodeManifest({
        kind: 'manifest',
        mediaType: MEDIA_TYPES.ociManifest,
        config: part,
        layers: [part],
        subject,
        annotations: { text },
      })
      pushed.push((await signer.pushManifest(bytes, MEDIA_TYPES.ociManifest)).digest)
    }
    const found = await signer.referrers(image.digest)
    assert.deepEqual(found.map((entry) => entry.digest).sort(), pushed.sort())
    assert.ok((await signer.tags()).includes(`sha256-${digestHex(image.digest)}`))
  })

  test('what is changed in the registry is refused, and nothing is left of the copy', async () => {
    await copy(`oci:${at('source')}:app`, `docker://${registry.host}/damaged/app:1`)
    const from = `docker://${registry.host}/damaged/app:1`
    // Positive control: before the change the same copy works.
    await copy(from, `oci:${at('undamaged')}:app`)
    const manifest = JSON.parse(
      Buffer.from((await inspect(from, { raw: true })).bytes ?? []).toString(),
    )
    const file = blobFile(registry, manifest.layers[0].digest)
    const whole = readFileSync(file)
    try {
      flipByte(file, 2_000_000)
      await assert.rejects(copy(from, `oci:${at('bad')}:app`), { code: 'IMAGE_DIGEST_MISMATCH' })
      truncateSync(file, whole.length - 1)
      await assert.rejects(copy(from, `oci:${at('bad')}:app`), { code: 'IMAGE_SIZE_MISMATCH' })
      writeFileSync(file, Buffer.concat([whole, Buffer.from('x')]))
      await assert.rejects(copy(from, `oci:${at('bad')}:app`), { code: 'IMAGE_SIZE_MISMATCH' })
      assert.ok(!readdirSync(folder).includes('bad'))
    } finally {
      writeFileSync(file, whole)
    }
  })

  test('a name that is not there is REGISTRY_NOT_FOUND', async () => {
    await assert.rejects(inspect(`${registry.host}/ours/app:none`), { code: 'REGISTRY_NOT_FOUND' })
    await assert.rejects(inspect(`${registry.host}/none/none:1`), { code: 'REGISTRY_NOT_FOUND' })
  })

  test('credentials that skopeo login wrote open a registry, others do not', async () => {
    // bcrypt of "secret"
    await using closed = await startDockerRegistry({ htpasswd: HTPASSWD })
    const authFile = at('auth.json')
    const login = ['login', '--tls-verify=false', '--authfile', authFile, '--password-stdin']
    execFileSync('skopeo', [...login, '-u', 'me', closed.host], { input: 'secret' })
    const to = `docker://${closed.host}/team/app:1`
    await copy(`oci:${at('source')}:app`, to, { authfile: authFile })
    for (const flags of [{ authfile: authFile }, { creds: 'me:secret' }]) {
      const shown = (await inspect(to, flags)).document as { digest: string }
      assert.equal(shown.digest, digest)
    }
    for (const flags of [{}, { creds: 'me:wrong' }]) {
      await assert.rejects(inspect(to, flags), { code: 'REGISTRY_UNAUTHORIZED' })
    }
    assert.ok(closed.log.every((line) => !line.includes('secret')))
  })

  test('a registry with TLS is trusted by its CA only, unless told otherwise', async () => {
    const tls = await issueCertificate()
    await using secure = await startDockerRegistry({ tls })
    mkdirSync(at('certs'))
    writeFileSync(at('certs', 'ca.crt'), tls.cert)
    const to = `docker://${secure.host}/team/app:1`
    await copy(`oci:${at('source')}:app`, to, { 'dest-cert-dir': at('certs') })
    for (const flags of [{ 'cert-dir': at('certs') }, { 'tls-verify': 'false' }]) {
      const shown = (await inspect(to, flags)).document as { digest: string }
      assert.equal(shown.digest, digest)
    }
    await assert.rejects(inspect(to, { 'tls-verify': 'true' }), { code: 'TLS_UNTRUSTED' })
    const plain = `docker://${registry.host}/ours/app:1`
    const shown = (await inspect(plain, { 'tls-verify': 'false' })).document as { digest: string }
    assert.equal(shown.digest, digest)
  })

  function client(
    repository: string,
    transport: ReturnType<typeof createHttpTransport>['send'],
    chunkSize: number,
  ): RegistryClient {
    return createRegistryClient({
      host: registry.host,
      repository,
      transport,
      plainHttp: true,
      push: true,
      chunkSize,
      clock: { now: () => Date.now(), random: () => 0, sleep: async () => {} },
    })
  }

  // A layout whose tag `all` is an index of two platforms.
  async function writeIndex(): Promise<string> {
    const platforms = [ARCHITECTURE, 's390x']
    await using into = await openDestination(`oci:${at('multi')}:all`, access())
    const entries = []
    for (const architecture of platforms) {
      writeOciImage(at(`multi-${architecture}`), 'app', {
        layers: [at('top')],
        config: { Cmd: [architecture] },
        architecture,
      })
      await using from = await openSource(`oci:${at(`multi-${architecture}`)}:app`, access())
      const { bytes, mediaType, manifest } = await from.top()
      assert.ok(manifest.kind === 'manifest')
      for (const blob of [manifest.config, ...manifest.layers]) {
        await into.blob(from.blob(blob), blob)
      }
      const platform: Platform = { os: 'linux', architecture }
      entries.push({ mediaType, platform, ...(await into.manifest(bytes, mediaType)) })
    }
    const index = encodeManifest({
      kind: 'index',
      mediaType: MEDIA_TYPES.ociIndex,
      manifests: entries,
    })
    return (await into.commit(index, MEDIA_TYPES.ociIndex)).digest
  }
})

if (skip !== false) console.log(`skip: registry conformance: ${skip}`)

const HTPASSWD = 'me:$2b$04$.J.PstHd6TJRo3Nsk99pzesDfViaKwlarbkTXcW5IBVIIaOW2UCha\n'

function version(program: string): string {
  return execFileSync(program, ['--version'], { encoding: 'utf8' }).trim()
}

function skopeo(...args: string[]): string {
  return execFileSync('skopeo', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
}

function blobs(layout: string): string[] {
  return readdirSync(join(layout, 'blobs/sha256')).sort()
}

function blobFile(registry: DockerRegistry, digest: string): string {
  const hex = digestHex(digest)
  const base = join(registry.storage, 'docker/registry/v2/blobs/sha256')
  return join(base, hex.slice(0, 2), hex, 'data')
}

async function topDigest(name: string): Promise<string> {
  await using source = await openSource(name, access())
  return (await source.top()).digest
}

const access = () => registryAccess(context(), input([], {}))

function copy(from: string, to: string, flags: Flags = {}): Promise<Outcome> {
  return copyCommand(context(), input([from, to], flags), { source: false, destination: false })
}

function inspect(ref: string, flags: Flags = {}): Promise<Outcome> {
  return inspectCommand(context(), input([ref], flags))
}

function input(operands: readonly string[], flags: Flags): CommandInput {
  return {
    operands,
    text: (flag) => (typeof flags[flag] === 'string' ? flags[flag] : undefined),
    flag: (flag) => flags[flag] === true,
    list: () => [],
  }
}

function context(): CommandContext {
  const step = { update: () => {}, done: () => {}, fail: () => {} }
  return {
    places: {
      root: '/nonexistent',
      state: '/nonexistent',
      kbsData: '/nonexistent',
      kbsUrl: undefined,
      kbsCa: undefined,
      initData: '/nonexistent',
      adminTokenFile: undefined,
    },
    pool: { size: 0, linger: 0 },
    cache: { maxSize: 0 },
    env: {},
    signal: new AbortController().signal,
    json: false,
    quiet: true,
    verbose: false,
    program: { dist: '', node: process.execPath, version: '0' },
    stdout: () => {},
    note: () => {},
    warn: () => {},
    log: () => {},
    progress: () => step,
    stdin: async () => new Uint8Array(),
  }
}
