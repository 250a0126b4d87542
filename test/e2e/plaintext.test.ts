import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { MEDIA_TYPES, parseManifest } from '#lib/oci'
import { openLayer, packetUnwrapper } from '#lib/ocicrypt'
import { publish, setUpOwner } from '../support/owner.ts'
import { filesBelow, scanForMarker } from '../support/plaintext-scanner.ts'
import { registryBlobs } from '../support/registry-blobs.ts'
import { forms } from '../support/text-forms.ts'
import { World } from '../support/world.ts'

const MARKER = `enclave-cc-marker-${process.pid}-of-a-file`
const KEK = 'kbs:///acme/image-kek/test'
// compresses well, so that the marker is not in the compressed bytes as it is
const CONTENT = `${MARKER}\n`.repeat(2000)
const CONFIG = {
  Entrypoint: ['sh', '-c', 'grep -c of-a-file /etc/secret; sleep 600 & wait'],
  StopSignal: 'SIGKILL',
}

let world: World
let image: string

before(async () => {
  world = new World('plaintext')
  await world.startRegistry()
  await world.startBroker()
  await world.prepare('acme')
  await setUpOwner(world)
  const files = { '/etc/secret': CONTENT }
  image = await publish(world, { name: 'acme/secret:1', config: CONFIG, files })
  const twin = { name: 'acme/twin:1', config: CONFIG, files, encryptionKey: null }
  await publish(world, twin)
})
after(async () => {
  await world[Symbol.asyncDispose]()
})

/** Places of the host that the image passes through. */
function places(): readonly string[] {
  return [...registryBlobs(world, 'acme/secret'), world.root, world.state, world.kbsData]
}

test('the scanner finds the marker as it is, in gzip, in zstd, and in EROFS of the other tool', () => {
  const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-control-'))
  try {
    const tree = join(folder, 'tree')
    mkdirSync(tree)
    writeFileSync(join(tree, 'secret'), CONTENT)
    const twins: Record<string, () => void> = {
      raw: () => writeFileSync(join(folder, 'raw'), `before ${MARKER} after`),
      gzip: () => writeFileSync(join(folder, 'gzip'), gzipSync(CONTENT)),
      zstd: () => writeFileSync(join(folder, 'zstd'), zstdCompressSync(CONTENT)),
      erofs: () => execFileSync('mkfs.erofs', [join(folder, 'erofs'), tree]),
      erofsLz4: () => execFileSync('mkfs.erofs', ['-zlz4hc', join(folder, 'erofsLz4'), tree]),
      gzipErofs: () =>
        writeFileSync(join(folder, 'gzipErofs'), gzipSync(readFileSync(join(folder, 'erofs')))),
      erofsGzip() {
        writeFileSync(join(tree, 'secret'), gzipSync(CONTENT))
        execFileSync('mkfs.erofs', [join(folder, 'erofsGzip'), tree])
      },
    }
    for (const make of Object.values(twins)) make()
    rmSync(tree, { recursive: true })
    const found = scanForMarker([folder], MARKER).map(({ file }) => file.slice(folder.length + 1))
    assert.deepEqual([...new Set(found)].sort(), Object.keys(twins).sort())
    assert.deepEqual(scanForMarker([folder], 'a text that is nowhere'), [])
  } finally {
    rmSync(folder, { recursive: true })
  }
})

test('the scanner finds the marker of the unencrypted twin, in the same registry and unpacked on a node', async () => {
  const inRegistry = scanForMarker(registryBlobs(world, 'acme/twin'), MARKER)
  assert.ok(inRegistry.length > 0)
  const pulled = world.path('ordinary')
  const twin = `docker://${world.registry}/acme/twin:1`
  await world.ok(['image', 'pull', twin, `oci:${pulled}:1`])
  const unpacked = world.path('ordinary-rootfs')
  mkdirSync(unpacked)
  for (const { file } of scanForMarker([join(pulled, 'blobs')], MARKER)) {
    execFileSync('tar', ['--extract', '--gzip', '--file', file, '--directory', unpacked])
  }
  assert.ok(scanForMarker([unpacked], MARKER).some(({ file }) => file.endsWith('/etc/secret')))
})

test('no marker in registry, node and broker, neither while the container runs nor after it', async () => {
  const { stdout } = await world.ok(['run', '-d', '--name', 'runs', image])
  const id = stdout.trim()
  await runs(id)
  assert.ok(filesBelow(join(world.root, 'layers')).length >= 4, 'layers and records are there')
  const running = scanForMarker(places(), MARKER)
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .filter((line) => line.includes(world.dir) && !line.includes(join(world.state, 'bundles')))
  await world.ok(['stop', '-t', '0', id])
  const stopped = scanForMarker(places(), MARKER)
  const spool = filesBelow(join(world.root, 'containers', id, 'spool'))
  await world.ok(['rm', id])
  const removed = scanForMarker(places(), MARKER)
  assert.deepEqual([running, stopped, removed], [[], [], []])
  assert.deepEqual(mounts, [], 'the root filesystem is no mount of the host')
  assert.deepEqual(spool, [], 'what was of this container alone is gone')
})

test('no key and no token in the registry, on the node or in a log', async () => {
  const kek = world.path('kek')
  await world.ok(['kbs', 'resource', 'get', KEK, '-o', kek])
  const kekBytes = readFileSync(kek)
  rmSync(kek)
  const secrets: Record<string, Uint8Array> = { kek: kekBytes }
  const raw = await world.ok(['image', 'inspect', `docker://${image}`, '--raw'])
  const manifest = parseManifest(Buffer.from(raw.stdout), MEDIA_TYPES.ociManifest)
  assert.ok(manifest.kind === 'manifest')
  for (const [index, layer] of manifest.layers.entries()) {
    const unwrapper = packetUnwrapper(async () => new Uint8Array(kekBytes))
    const { cipher } = await openLayer(layer.annotations ?? {}, [unwrapper])
    secrets[`key of layer ${index}`] = cipher.key
  }
  const adminToken = join(world.kbsData, 'admin.token')
  secrets['admin token'] = readFileSync(adminToken).subarray(0, -1)

  const { stdout, stderr } = await world.ok(['run', '-d', '--log-level', 'debug', image])
  const id = stdout.trim()
  await runs(id)
  const told = world.path('told')
  const logs = await world.ok(['logs', id, '--log-level', 'debug'])
  writeFileSync(told, [stderr, logs.stdout, logs.stderr, world.brokerLog].join('\n'))
  assert.notEqual(world.brokerLog, '', 'the broker has a log that could tell')
  // bundles were made before there was any key
  const searched = [
    ...registryBlobs(world, 'acme/secret'),
    ...[world.root, world.state].flatMap((folder) =>
      filesBelow(folder).filter((file) => !file.startsWith(join(folder, 'bundles'))),
    ),
    world.kbsData,
    told,
  ]
  assert.ok(searched.some((file) => file.startsWith(join(world.root, 'layers'))))
  const found: string[] = []
  for (const [name, secret] of Object.entries(secrets)) {
    for (const form of forms(secret)) {
      for (const { file } of scanForMarker(searched, form)) {
        if (name !== 'admin token' || file !== adminToken) found.push(`${name}: ${file}`)
      }
    }
  }
  await world.ok(['rm', '-f', id])
  assert.deepEqual(found, [])
  // the detector finds each secret where it is
  for (const [name, secret] of Object.entries(secrets)) {
    writeFileSync(told, Buffer.concat([Buffer.from('x'), secret]))
    assert.equal(scanForMarker([told], forms(secret)[0] ?? secret).length, 1, name)
  }
})

/** Waits until the program of a container has read the marker's file. */
async function runs(id: string): Promise<void> {
  for (let i = 0; i < 200; i++) {
    const { stdout } = await world.ok(['logs', id])
    if (stdout.includes('2000')) return
  }
  assert.fail('the container did not say that it runs')
}
