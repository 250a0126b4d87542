import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { type Descriptor, digestOf, MEDIA_TYPES } from '#lib/oci'
import { tarArchive, tarEntry } from '../../../../test/support/tar-builder.ts'
import { layerSealer, type SourceLayer } from './layers.ts'
import { SpoolFile } from './spool.ts'

function folder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), 'enclave-cc-spool-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) }
}

function image(...tars: readonly Uint8Array[]) {
  const blobs = new Map(tars.map((tar) => [digestOf(tar), tar]))
  const layers: SourceLayer[] = tars.map((tar) => ({
    descriptor: { mediaType: MEDIA_TYPES.ociLayerTar, digest: digestOf(tar), size: tar.length },
    diffId: digestOf(tar),
    opened: undefined,
  }))
  async function* blob({ digest }: Pick<Descriptor, 'digest'>): AsyncGenerator<Uint8Array> {
    yield blobs.get(digest) ?? new Uint8Array(0)
  }
  return { layers, client: { blob } }
}

const tar = (name: string) => tarArchive(tarEntry({ name, data: name }))
const initDataDigest = new Uint8Array(32)
const never = new AbortController().signal

test('layers keep their order, whichever is done first, and progress ends at the total', async () => {
  using spool = folder()
  const { layers, client } = image(tar('a'), tar('b'), tar('c'), tar('d'))
  const progress: number[] = []
  const sealed = await layerSealer({ spool: spool.path })(layers, {
    initDataDigest,
    client,
    signal: never,
    onProgress: (done, total) => progress.push(done / total),
  })
  assert.deepEqual(
    sealed.map(({ file }) => file),
    [0, 1, 2, 3].map((i) => `layer-${i}.sealed`),
  )
  assert.deepEqual(
    readdirSync(spool.path).sort(),
    sealed.map(({ file }) => file),
  )
  assert.equal(progress.at(-1), 1)
  assert.deepEqual(
    progress,
    progress.toSorted((a, b) => a - b),
  )
})

test('one bad layer ends the others, and no file or key stays', async () => {
  using spool = folder()
  const { layers, client } = image(tar('a'), tar('b'), tar('c'))
  const bad = layers.map((layer, i) =>
    i === 1 ? { ...layer, diffId: `sha256:${'1'.repeat(64)}` } : layer,
  )
  const sealing = layerSealer({ spool: spool.path })(bad, {
    client,
    initDataDigest,
    signal: never,
    onProgress: () => {},
  })
  await assert.rejects(sealing, { code: 'LAYER_DIFF_ID_MISMATCH' })
  assert.deepEqual(readdirSync(spool.path), [])
})

test('a link of the host in place of a spool file is replaced, not followed', async () => {
  using spool = folder()
  const victim = join(spool.path, 'victim')
  writeFileSync(victim, 'untouched')
  symlinkSync(victim, join(spool.path, 'layer-0.sealed'))
  {
    await using file = await SpoolFile.create(spool.path, 'layer-0.sealed')
    await file.write(0, Uint8Array.of(1))
  }
  assert.equal(readFileSync(victim, 'utf8'), 'untouched')
})

test('a file without a name leaves nothing behind', async () => {
  using spool = folder()
  await using file = await SpoolFile.anonymous(spool.path, 'layer-0.blob')
  assert.deepEqual(readdirSync(spool.path), [])
  await file.write(3, Uint8Array.of(1, 2, 3))
  assert.deepEqual([...(await file.read(4, 10))], [2, 3])
})

test('a spool that cannot be written to is said to be that', async () => {
  await assert.rejects(SpoolFile.create('/nonexistent', 'x'), { code: 'SPOOL_FAILED' })
})
