import assert from 'node:assert/strict'
import { test } from 'node:test'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import { concat, utf8 } from '#lib/bytes'
import type { ErofsEntry } from '#lib/erofs'
import type { LayerCompression } from '#lib/oci'
import type { LayerCipher } from '#lib/ocicrypt'
import {
  encryptBlob,
  MemoryFile,
  openImage,
  openTree,
  pieces,
  sha256,
} from '../../../test/support/layer-blob.ts'
import { paxHeader, tarArchive, tarEntry } from '../../../test/support/tar-builder.ts'
import {
  type LayerLimits,
  type SpoolOptions,
  spoolLayer,
  type UnpackedLayer,
  type UnpackOptions,
  unpackLayer,
} from './index.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

interface Done {
  readonly tree: Map<string, ErofsEntry>
  readonly layer: UnpackedLayer
}

async function unpack(
  blob: Uint8Array,
  archive: Uint8Array,
  options: {
    compression?: LayerCompression
    cipher?: LayerCipher
    limits?: LayerLimits
    spool?: Partial<SpoolOptions>
    rest?: Partial<UnpackOptions>
  } = {},
): Promise<Done> {
  const spooled = await spoolLayer({
    source: pieces(blob),
    descriptor: { size: blob.length, digest: sha256(blob) },
    cipher: options.cipher,
    ...options.spool,
  })
  const sink = new MemoryFile()
  const layer = await unpackLayer({
    spooled,
    compression: options.compression ?? 'none',
    diffId: sha256(archive),
    sink,
    limits: options.limits ?? {},
    ...options.rest,
  })
  const kept = (options.rest?.sink as MemoryFile | undefined) ?? sink
  return { tree: await openTree(kept, layer), layer }
}

const plain = (...entries: Uint8Array[]): Promise<Done> => {
  const archive = tarArchive(...entries)
  return unpack(archive, archive)
}

const refuses = (code: string, ...entries: Uint8Array[]): Promise<void> =>
  assert.rejects(plain(...entries), { code })

const noise = (length: number): Uint8Array => {
  let state = 12_345
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state >>> 24
  })
}

const sample: Uint8Array = tarArchive(
  tarEntry({ name: './', type: '5', mode: 0o711 }),
  tarEntry({ name: 'bin/app', mode: 0o4755, uid: 3, gid: 4, mtime: 99, data: noise(400_000) }),
  tarEntry({ name: 'bin/link', type: '1', link: 'bin/app' }),
  tarEntry({ name: 'lib', type: '2', link: '/usr/lib' }),
  tarEntry({ name: 'pipe', type: '6' }),
)

test('a layer unpacks in every compression, plain and encrypted, from memory and from storage', async () => {
  const blobs: [LayerCompression, Uint8Array][] = [
    ['none', sample],
    ['gzip', gzipSync(sample)],
    ['zstd', zstdCompressSync(sample)],
  ]
  for (const [compression, compressed] of blobs) {
    for (const encrypted of [false, true]) {
      for (const memoryLimit of [0, 2 ** 25]) {
        const { blob, cipher } = encryptBlob(compressed)
        const { tree, layer } = await unpack(encrypted ? blob : compressed, sample, {
          compression,
          ...(encrypted ? { cipher } : {}),
          spool: { storage: new MemoryFile(), memoryLimit },
        })
        const app = tree.get('bin/app') as ErofsEntry
        assert.deepEqual(app.content(0, app.size), noise(400_000))
        assert.equal(app.mode, 0o104755)
        assert.deepEqual([app.uid, app.gid, app.mtime.seconds, app.nlink], [3, 4, 99, 2])
        assert.equal(tree.get('')?.mode, 0o040711)
        assert.equal(text(tree.get('lib')?.content(0, 99) as Uint8Array), '/usr/lib')
        assert.equal(layer.entries, 5)
        assert.equal(layer.archiveSize, sample.length)
      }
    }
  }
})

test('images of two layers have two uuids, and of one layer always the same', async () => {
  const uuidOf = async (contents: string): Promise<string> => {
    const archive = tarArchive(tarEntry({ name: 'a', data: utf8(contents) }))
    const sink = new MemoryFile()
    const { layer } = await unpack(archive, archive, { rest: { sink } })
    const image = await openImage(sink, layer)
    return Buffer.from(image.subarray(1024 + 48, 1024 + 64)).toString('hex')
  }
  const [first, again, other] = [await uuidOf('x'), await uuidOf('x'), await uuidOf('y')]
  assert.equal(first, again)
  assert.notEqual(first, other)
  assert.notEqual(first, '0'.repeat(32))
})

test('storage sees ciphertext only', async () => {
  const storage = new MemoryFile()
  const { blob, cipher } = encryptBlob(sample)
  await unpack(blob, sample, { cipher, spool: { storage, memoryLimit: 0 } })
  assert.deepEqual(storage.bytes, blob)
})

test('any cuts of the source give the same layer', async () => {
  const { blob, cipher } = encryptBlob(gzipSync(sample))
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 300_000 }), async (size) => {
      const { tree } = await unpack(blob, sample, {
        compression: 'gzip',
        cipher,
        spool: {
          source: pieces(blob, Math.max(size, 500)),
          storage: new MemoryFile(),
          memoryLimit: 0,
        },
      })
      assert.equal(tree.size, 6)
    }),
    { numRuns: 12 },
  )
})

test('spoolLayer() refuses a flip, a cut, an extension and a foreign HMAC', async () => {
  const { blob, cipher } = encryptBlob(tarArchive(tarEntry({ data: 'secret' })))
  const descriptor = { size: blob.length, digest: sha256(blob) }
  const spool = (source: Uint8Array, withCipher: LayerCipher = cipher, wanted = descriptor) =>
    spoolLayer({ source: pieces(source), descriptor: wanted, cipher: withCipher })
  await spool(blob)
  for (let at = 0; at < blob.length; at += 97) {
    const flipped = blob.slice()
    flipped[at] = (flipped[at] ?? 0) ^ 1
    await assert.rejects(spool(flipped), { code: 'IMAGE_DIGEST_MISMATCH' })
    // The digest is the registry's word; the HMAC must stop what it vouches for.
    const vouched = { size: blob.length, digest: sha256(flipped) }
    await assert.rejects(spool(flipped, cipher, vouched), { code: 'LAYER_MAC_MISMATCH' })
  }
  await assert.rejects(spool(blob.subarray(1)), { code: 'IMAGE_SIZE_MISMATCH' })
  await assert.rejects(spool(blob.subarray(0, -1)), { code: 'IMAGE_SIZE_MISMATCH' })
  await assert.rejects(spool(concat(blob, Uint8Array.of(0))), { code: 'IMAGE_SIZE_MISMATCH' })
  const foreign = { ...cipher, hmac: new Uint8Array(32) }
  await assert.rejects(spool(blob, foreign), { code: 'LAYER_MAC_MISMATCH' })
  const otherKey = { ...cipher, key: new Uint8Array(32) }
  await assert.rejects(spool(blob, otherKey), { code: 'LAYER_MAC_MISMATCH' })
})

test('spoolLayer() wants storage for a large layer, and reports progress', async () => {
  const archive = tarArchive(tarEntry({ data: noise(50_000) }))
  const descriptor = { size: archive.length, digest: sha256(archive) }
  const source = () => pieces(archive)
  await assert.rejects(spoolLayer({ source: source(), descriptor, memoryLimit: 10 }), TypeError)
  const seen: number[] = []
  await spoolLayer({ source: source(), descriptor, onProgress: (done) => seen.push(done) })
  assert.equal(seen.at(-1), archive.length)
  const signal = AbortSignal.abort()
  await assert.rejects(spoolLayer({ source: source(), descriptor, signal }), { name: 'AbortError' })
})

test('storage that gives other bytes at the second reading is found out', async () => {
  const archive = tarArchive(tarEntry({ data: noise(200_000) }))
  const descriptor = { size: archive.length, digest: sha256(archive) }
  const change: ((bytes: Uint8Array, offset: number) => Uint8Array)[] = [
    (bytes, offset) => (offset === 65_536 ? bytes.map((b, i) => (i === 9 ? b ^ 1 : b)) : bytes),
    (bytes, offset) => (offset === 65_536 ? bytes.subarray(1) : bytes),
    (bytes, offset) => (offset === 0 ? archive.slice(65_536, 131_072) : bytes),
    () => new Uint8Array(0),
    (bytes) => concat(bytes, Uint8Array.of(0)),
  ]
  for (const tamper of change) {
    const storage = new MemoryFile()
    const spooled = await spoolLayer({
      source: pieces(archive),
      descriptor,
      memoryLimit: 0,
      storage: {
        write: (offset, bytes) => storage.write(offset, bytes),
        read: (offset, length) => tamper(storage.read(offset, length), offset),
      },
    })
    const sink = new MemoryFile()
    const unpacked = unpackLayer({ spooled, compression: 'none', diffId: sha256(archive), sink })
    await assert.rejects(unpacked, { code: 'LAYER_SPOOL_TAMPERED' })
  }
})

test('a diff_id that differs is refused even under a valid HMAC, and nothing is sealed', async () => {
  const { blob, cipher } = encryptBlob(sample)
  const sink = new MemoryFile()
  const diffId = sha256(utf8('another layer'))
  await assert.rejects(unpack(blob, sample, { cipher, rest: { sink, diffId } }), {
    code: 'LAYER_DIFF_ID_MISMATCH',
  })
  assert.ok(sink.bytes.subarray(0, 4096).every((byte) => byte === 0))
})

test('a digest of the decrypted blob is checked where there is one', async () => {
  const compressed = gzipSync(sample)
  const { blob, cipher } = encryptBlob(compressed)
  const at = (plainDigest: string) =>
    unpack(blob, sample, { compression: 'gzip', cipher, rest: { plainDigest } })
  await at(sha256(compressed))
  await assert.rejects(at(sha256(sample)), { code: 'LAYER_DIGEST_MISMATCH' })
})

test('an encrypted layer without its cipher does not unpack', async () => {
  const { blob } = encryptBlob(gzipSync(sample))
  await assert.rejects(unpack(blob, sample, { compression: 'gzip' }), { code: 'LAYER_COMPRESSION' })
})

test('a layer that comes to more than the limits is refused while it comes out', async () => {
  const archive = tarArchive(tarEntry({ data: new Uint8Array(4_000_000) }))
  const blob = gzipSync(archive)
  const at = (limits: LayerLimits) => unpack(blob, archive, { compression: 'gzip', limits })
  await at({ ratioFrom: 0, maxRatio: 2000 })
  await assert.rejects(at({ ratioFrom: 0, maxRatio: 100 }), { code: 'LAYER_TOO_LARGE' })
  await assert.rejects(at({ maxSize: 1_000_000 }), { code: 'LAYER_TOO_LARGE' })
  await assert.rejects(at({ maxEntries: 0 }), { code: 'TAR_LIMIT' })
})

test('unpackLayer() can be called off', async () => {
  const signal = AbortSignal.abort()
  await assert.rejects(unpack(sample, sample, { rest: { signal } }), { name: 'AbortError' })
})

test('an error of the sink comes through as it is', async () => {
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  const sink = {
    write: () => {
      throw full
    },
  }
  await assert.rejects(unpack(sample, sample, { rest: { sink } }), full)
})

test('whiteouts hide what lies below and never what the layer has itself', async () => {
  const { tree } = await plain(
    tarEntry({ name: '.wh.gone' }),
    tarEntry({ name: 'dir/.wh.file', data: 'ignored content' }),
    tarEntry({ name: '.wh.both' }),
    tarEntry({ name: 'both', data: 'kept' }),
    tarEntry({ name: 'first', data: 'kept' }),
    tarEntry({ name: '.wh.first' }),
    tarEntry({ name: '.wh.again' }),
    tarEntry({ name: 'again/', type: '5' }),
    tarEntry({ name: 'linked/.wh.x', type: '1', link: '.wh..wh.aufs' }),
  )
  for (const path of ['gone', 'dir/file', 'linked/x']) {
    assert.equal(tree.get(path)?.mode, 0o020000, path)
    assert.equal(tree.get(path)?.rdev, 0)
  }
  assert.equal(tree.get('both')?.size, 4)
  assert.equal(tree.get('first')?.size, 4)
  assert.equal(text(tree.get('again')?.xattrs[0]?.name as Uint8Array), 'trusted.overlay.opaque')
  assert.ok([...tree.keys()].every((path) => !path.includes('.wh.')))
})

test('an opaque mark counts wherever it stands', async () => {
  const { tree, layer } = await plain(
    tarEntry({ name: 'early/.wh..wh..opq' }),
    tarEntry({ name: 'early/', type: '5', mode: 0o700 }),
    tarEntry({ name: 'early/child' }),
    tarEntry({ name: 'late/child' }),
    tarEntry({ name: 'late/.wh..wh..opq' }),
  )
  assert.equal(tree.get('early')?.xattrs.length, 1)
  assert.equal(tree.get('early')?.mode, 0o040700)
  assert.equal(tree.get('late')?.xattrs.length, 1)
  assert.ok(tree.has('early/child') && tree.has('late/child'))
  assert.equal(layer.opaqueRoot, false)
  assert.equal((await plain(tarEntry({ name: '.wh..wh..opq' }))).layer.opaqueRoot, true)
})

test('metadata of aufs is passed over, malformed whiteouts are refused', async () => {
  const { tree } = await plain(
    tarEntry({ name: '.wh..wh.plnk/', type: '5' }),
    tarEntry({ name: '.wh..wh.plnk/123', data: 'x' }),
    tarEntry({ name: '.wh..wh.aufs' }),
    tarEntry({ name: 'd/.wh..wh.orph' }),
  )
  assert.deepEqual([...tree.keys()], [''])
  for (const name of ['.wh.', '.wh..', '.wh...', 'd/.wh.', '.wh.a/b']) {
    await refuses('LAYER_WHITEOUT', tarEntry({ name }))
  }
  assert.ok((await plain(tarEntry({ name: '.wh....' }))).tree.has('...'))
})

test('devices are left out and counted; 0:0 is refused', async () => {
  const { tree, layer } = await plain(
    tarEntry({ name: 'dev/null', type: '3', major: 1, minor: 3 }),
    tarEntry({ name: 'dev/sda', type: '4', major: 8, minor: 0 }),
    tarEntry({ name: 'dev/zero', type: '4', major: 0, minor: 0 }),
  )
  assert.deepEqual([...tree.keys()], [''])
  assert.equal(layer.omitted.devices, 3)
  await refuses('LAYER_DEVICE', tarEntry({ name: 'wh', type: '3', major: 0, minor: 0 }))
})

test('attributes that steer overlayfs are refused, those of other namespaces dropped', async () => {
  for (const name of [
    'trusted.overlay.opaque',
    'trusted.overlay.redirect',
    'user.overlay.opaque',
  ]) {
    for (const type of ['0', '5']) {
      const entry = tarEntry({ name: 'x', type })
      await refuses('LAYER_XATTR', paxHeader({ [`SCHILY.xattr.${name}`]: 'y' }), entry)
    }
    await refuses(
      'LAYER_XATTR',
      paxHeader({ [`LIBARCHIVE.xattr.${name}`]: 'eQ==' }),
      tarEntry({ name: './', type: '5' }),
    )
  }
  const { tree, layer } = await plain(
    paxHeader({
      'SCHILY.xattr.user.note': 'n',
      'SCHILY.xattr.security.capability': 'c',
      'SCHILY.xattr.security.selinux': 's',
      'SCHILY.xattr.security.ima': 'i',
      'SCHILY.xattr.trusted.other': 't',
      'SCHILY.xattr.weird': 'w',
    }),
    tarEntry({ name: 'f' }),
  )
  const names = tree.get('f')?.xattrs.map(({ name }) => text(name as Uint8Array))
  assert.deepEqual(names, ['security.capability', 'user.note'])
  assert.equal(layer.omitted.xattrs, 4)
})

test('paths cannot leave the root, links cannot lead out', async () => {
  for (const name of ['../etc/passwd', 'a/../../b', '/..', 'a/..']) {
    await refuses('EROFS_PATH', tarEntry({ name }))
    await refuses('EROFS_PATH', paxHeader({ path: name }), tarEntry({}))
  }
  const link = (target: string) => tarEntry({ name: 'l', type: '1', link: target })
  await refuses('EROFS_PATH', link('../etc/passwd'))
  await refuses('EROFS_LINK_TARGET', link('/etc/passwd'))
  await refuses('EROFS_LINK_TARGET', tarEntry({ name: 'd/', type: '5' }), link('d'))
  const symlink = tarEntry({ name: 's', type: '2', link: '/etc' })
  await refuses('EROFS_LINK_TARGET', symlink, link('s/passwd'))
  await refuses('EROFS_NOT_DIRECTORY', symlink, tarEntry({ name: 's/passwd' }))
  await refuses('EROFS_NOT_DIRECTORY', symlink, tarEntry({ name: 's/.wh.passwd' }))
  const { tree } = await plain(tarEntry({ name: '/abs', data: 'a' }), link('/abs'), symlink)
  assert.equal(tree.get('l')?.nlink, 2)
  assert.equal(text(tree.get('s')?.content(0, 9) as Uint8Array), '/etc')
})

test('a hard link to a symlink links the symlink itself', async () => {
  const { tree } = await plain(
    tarEntry({ name: 's', type: '2', link: '/etc/passwd' }),
    tarEntry({ name: 'h', type: '1', link: 's' }),
  )
  assert.equal(tree.get('h')?.mode, 0o120644)
  assert.equal(tree.get('h')?.nid, tree.get('s')?.nid)
})

test('the root must be a directory', async () => {
  for (const type of ['0', '1', '2', '3', '6']) {
    for (const name of ['.', './', '/']) {
      if (type === '0' && name.endsWith('/')) continue
      const entry = tarEntry({ name, type, link: 'x', major: 1, minor: 1 })
      await refuses('EROFS_NOT_DIRECTORY', entry)
    }
  }
})

test('deep and long paths are refused', async () => {
  await refuses('EROFS_LIMIT', paxHeader({ path: 'a/'.repeat(300) }), tarEntry({}))
  await refuses('EROFS_LIMIT', paxHeader({ path: 'a'.repeat(256) }), tarEntry({}))
  await refuses('EROFS_LIMIT', paxHeader({ path: 'abc/'.repeat(1100) }), tarEntry({}))
  await plain(paxHeader({ path: `${'a/'.repeat(255)}a` }), tarEntry({}))
})

test('an archive that is cut or continued is refused', async () => {
  const archive = tarArchive(tarEntry({ data: 'x' }))
  const cut = archive.subarray(0, archive.length - 512)
  await assert.rejects(unpack(cut, cut), { code: 'TAR_TRUNCATED' })
  const longer = concat(archive, utf8('more'))
  await assert.rejects(unpack(longer, longer), { code: 'TAR_TRAILING' })
})
