import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  closeSync,
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { copyOf } from '#lib/bytes'
import { layerId } from '#lib/cache'
import { type Descriptor, digestOf, MEDIA_TYPES } from '#lib/oci'
import { parseHeaderBlock } from '#lib/sealed'
import { tryLockOpenFile } from '#platform/lock'
import { tarArchive, tarEntry } from '../../../../test/support/tar-builder.ts'
import { layerSealer, type SealedLayer, type SourceLayer } from './layers.ts'

const SEALING_KEY = new Uint8Array(32).fill(7)
const OWN = new Uint8Array(32).fill(1)

/** A node with one cache; each `pod` has a spool and an agent of its own. */
class Node implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), 'enclave-cc-layers-'))
  readonly cache = join(this.path, 'layers')
  #pods = 0

  constructor() {
    mkdirSync(this.cache)
  }

  pod(sealingKey: Uint8Array = SEALING_KEY) {
    const spool = join(this.path, `spool-${this.#pods++}`)
    mkdirSync(spool)
    return layerSealer({ spool, cache: this.cache, sealingKey: async () => copyOf(sealingKey) })
  }

  files(end: string): string[] {
    return readdirSync(this.cache)
      .filter((name) => name.endsWith(end))
      .map((name) => join(this.cache, name))
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true })
  }
}

interface Image {
  readonly layers: readonly SourceLayer[]
  readonly client: { blob(descriptor: Pick<Descriptor, 'digest'>): AsyncIterable<Uint8Array> }
  fetched: number
}

function image(...names: readonly string[]): Image {
  const tars = names.map((name) => tarArchive(tarEntry({ name, data: name.repeat(10_000) })))
  const blobs = new Map(tars.map((tar) => [digestOf(tar), tar]))
  const layers: SourceLayer[] = tars.map((tar) => ({
    descriptor: { mediaType: MEDIA_TYPES.ociLayerTar, digest: digestOf(tar), size: tar.length },
    diffId: digestOf(tar),
    opened: undefined,
  }))
  const made: Image = {
    layers,
    fetched: 0,
    client: {
      async *blob({ digest }) {
        made.fetched++
        yield blobs.get(digest) ?? new Uint8Array(0)
      },
    },
  }
  return made
}

async function seal(
  pod: ReturnType<Node['pod']>,
  { layers, client }: Image,
  initDataDigest = OWN,
): Promise<readonly SealedLayer[]> {
  const { signal } = new AbortController()
  return await pod(layers, { client, initDataDigest, signal, onProgress: () => {} })
}

test('another pod takes the layers as they are: same keys, same files, nothing fetched', async () => {
  using node = new Node()
  const source = image('a', 'b')
  const first = await seal(node.pod(), source)
  assert.deepEqual([source.fetched, first.map(({ cached }) => cached)], [2, [false, false]])
  const second = await seal(node.pod(), source)
  assert.equal(source.fetched, 2)
  assert.deepEqual(
    second,
    first.map((layer) => ({ ...layer, cached: true })),
  )
  for (const [index, { file }] of second.entries()) {
    const header = parseHeaderBlock(readFileSync(join(node.cache, file)).subarray(0, 4096))
    const { descriptor, diffId } = source.layers[index] as SourceLayer
    const { digest, mediaType } = descriptor
    const scope = OWN
    assert.deepEqual(header.layerId, layerId({ digest, mediaType, diffId, scope }))
  }
})

test('progress ends at the total, whether layers are fetched or found', async () => {
  using node = new Node()
  const { layers, client } = image('a', 'b')
  for (const _ of ['fetched', 'found']) {
    const progress: number[] = []
    const onProgress = (done: number, total: number) => void progress.push(done / total)
    const { signal } = new AbortController()
    await node.pod()(layers, { client, initDataDigest: OWN, signal, onProgress })
    assert.equal(progress.at(-1), 1)
  }
})

test('another owner and another enclave find nothing', async () => {
  using node = new Node()
  const source = image('a')
  await seal(node.pod(), source)
  await seal(node.pod(), source, new Uint8Array(32).fill(2))
  await seal(node.pod(new Uint8Array(32).fill(8)), source)
  assert.equal(source.fetched, 3)
  assert.equal(node.files('.record').length, 3)
})

test('the layer that an image holds twice is one layer of the next pod', async () => {
  using node = new Node()
  const source = image('a', 'a')
  const first = await seal(node.pod(), source)
  assert.equal(first.length, 2)
  const [one, two] = await seal(node.pod(), source)
  assert.equal(one?.file, two?.file)
})

test('a file that the host put in place of another is a miss, of whatever kind it is', async () => {
  const kinds: Record<string, (path: string) => void> = {
    directory: (path) => mkdirSync(path),
    fifo: (path) => void execFileSync('mkfifo', [path]),
    'link to a copy': (path) => symlinkSync(`${path}.copy`, path),
    'link to itself': (path) => symlinkSync(path, path),
    empty: (path) => writeFileSync(path, ''),
    'a byte longer': (path) => {
      copyFileSync(`${path}.copy`, path)
      appendFileSync(path, '0')
    },
    'a byte shorter': (path) => writeFileSync(path, readFileSync(`${path}.copy`).subarray(0, -1)),
    huge: (path) => execFileSync('truncate', ['-s', '8E', path], { stdio: 'ignore' }),
  }
  for (const [name, make] of Object.entries(kinds)) {
    for (const end of ['.record', '.sealed']) {
      using node = new Node()
      const source = image('a')
      await seal(node.pod(), source)
      const [victim = ''] = node.files(end)
      copyFileSync(victim, `${victim}.copy`)
      rmSync(victim)
      try {
        make(victim)
      } catch {
        continue // a filesystem without such large files
      }
      const [layer] = await seal(node.pod(), source)
      assert.deepEqual([source.fetched, layer?.cached], [2, false], `${name} as ${end}`)
    }
  }
})

test('an older record leads to its own data or to none, never to newer data', async () => {
  using node = new Node()
  const source = image('a')
  await seal(node.pod(), source)
  const [record = ''] = node.files('.record')
  const [oldData = ''] = node.files('.sealed')
  const old = readFileSync(record)
  rmSync(record)
  await seal(node.pod(), source)
  assert.equal(source.fetched, 2)
  writeFileSync(record, old)
  const [again] = await seal(node.pod(), source)
  assert.deepEqual([source.fetched, again?.cached], [2, true], 'both are the same layer')
  const [newData = ''] = node.files('.sealed').filter((file) => file !== oldData)
  copyFileSync(newData, oldData)
  const [layer] = await seal(node.pod(), source)
  assert.deepEqual([source.fetched, layer?.cached], [3, false])
})

test('files in use are locked; one that the host holds is a miss', async () => {
  using node = new Node()
  const source = image('a')
  const pod = node.pod()
  const [layer] = await seal(pod, source)
  const path = join(node.cache, layer?.file ?? '')
  const fd = openSync(path, 'r')
  try {
    assert.equal(tryLockOpenFile(fd, path, 'exclusive'), false, 'its sealer holds it')
    // What is refused frees what the same agent held.
    const bad = { ...source, layers: [{ ...source.layers[0], diffId: digestOf(OWN) }] } as Image
    await assert.rejects(seal(pod, bad), { code: 'LAYER_DIFF_ID_MISMATCH' })
    assert.equal(tryLockOpenFile(fd, path, 'exclusive'), true)
    const [other] = await seal(node.pod(), source)
    assert.equal(other?.cached, false)
  } finally {
    closeSync(fd)
  }
})

test('content that is refused leaves nothing in the cache', async () => {
  using node = new Node()
  const source = image('a', 'b')
  const [good, bad] = source.layers as [SourceLayer, SourceLayer]
  const layers = [good, { ...bad, diffId: digestOf(OWN) }]
  await assert.rejects(seal(node.pod(), { ...source, layers }), { code: 'LAYER_DIFF_ID_MISMATCH' })
  const left = readdirSync(node.cache).filter((name) => name.startsWith('new-'))
  assert.deepEqual(left, [])
  assert.ok(node.files('.record').length <= 1, 'the good layer may be there')
})

test('a node without a cache seals into the spool', async () => {
  using node = new Node()
  const source = image('a')
  rmSync(node.cache, { recursive: true })
  const [layer] = await seal(node.pod(), source)
  assert.deepEqual([layer?.file, layer?.cached], ['layer-0.sealed', false])
})

test('a hit is the last use of a record', async () => {
  using node = new Node()
  const source = image('a')
  await seal(node.pod(), source)
  const [record = ''] = node.files('.record')
  utimesSync(record, 1000, 1000)
  await seal(node.pod(), source)
  assert.ok(statSync(record).mtimeMs > Date.now() - 60_000)
})
