import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import fc from 'fast-check'
import { compareBytes, utf8 } from '#lib/bytes'
import { basicImage, buildImage, ImageMemory } from '../../../test/support/erofs-image.ts'
import { decodeDevice, encodeDevice } from './format.ts'
import {
  createErofsWriter,
  type ErofsEntry,
  type ErofsWriter,
  memorySource,
  readErofs,
  splitPath,
} from './index.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function entries(image: Uint8Array): Map<string, ErofsEntry> {
  const source = memorySource(image)
  return new Map([...readErofs(source)].map((entry) => [text(entry.path), entry]))
}

const whole = (entry: ErofsEntry | undefined): Uint8Array =>
  (entry as ErofsEntry).content(0, (entry as ErofsEntry).size)

async function basic(writer: ErofsWriter): Promise<void> {
  const mtime = { seconds: 1_700_000_000, nanoseconds: 5 }
  writer.addDirectory('/', { mode: 0o755, mtime })
  await writer.addFile('d/hello', { uid: 70_000, gid: 8, mtime }, 6, utf8('hello\n'))
  writer.addDirectory('./d/', { mode: 0o700, mtime })
  writer.setOpaque('d')
  writer.addHardlink('hl', 'd/hello')
  await writer.addSymlink('ln', 'd/hello', { mtime })
  await writer.addFile('page', { mode: 0o600, mtime }, 4096, new Uint8Array(4096).fill(0x41))
  writer.addDevice('wh', 'char', 0, 0, { mode: 0, mtime })
}

test('createErofsWriter() writes the vector byte for byte', async () => {
  const { image, summary } = await buildImage(basic)
  assert.deepEqual(image, basicImage())
  const sum = '3411b7083714a697417a24afef02498a46f0e53e3c89ece842563bb906cfb420'
  assert.equal(createHash('sha256').update(image).digest('hex'), sum)
  assert.deepEqual(summary, { size: 12_288, inodes: 6, opaqueRoot: false })
})

test('createErofsWriter() writes the uuid that it is given, and readErofs() takes any', async () => {
  const uuid = Uint8Array.from({ length: 16 }, (_, i) => 0xf0 + i)
  const memory = new ImageMemory()
  const writer = createErofsWriter({ sink: memory, uuid })
  await basic(writer)
  await writer.finish()
  const image = memory.bytes()
  assert.deepEqual(image.subarray(1024 + 48, 1024 + 64), uuid)
  const plain = basicImage()
  assert.deepEqual([...entries(image).keys()], [...entries(plain).keys()])
  image.fill(0, 1024 + 48, 1024 + 64)
  image.set(plain.subarray(1024 + 4, 1024 + 8), 1024 + 4)
  assert.deepEqual(image, plain, 'nothing but the uuid and the checksum over it')
  assert.throws(() => createErofsWriter({ sink: memory, uuid: new Uint8Array(15) }), RangeError)
})

test('an image comes out the same for a sink that takes its time', async () => {
  const build = async (writer: ErofsWriter): Promise<void> => {
    await writer.addFile('large', {}, 300_001, new Uint8Array(300_001).fill(1))
    // More than the output buffer of directory blocks, and of inodes with attributes.
    const xattrs = [{ name: 'user.a', value: new Uint8Array(50) }]
    for (let i = 0; i < 1200; i++) writer.addFifo(`${i}`.padStart(200, 'n'), { xattrs })
  }
  const { image } = await buildImage(build)
  const memory = new ImageMemory()
  const wait = () => new Promise<void>((resolve) => setImmediate(resolve))
  const writer = createErofsWriter({
    sink: {
      append: (bytes) => wait().then(() => memory.append(bytes)),
      rewrite: (offset, bytes) => wait().then(() => memory.rewrite(offset, bytes)),
    },
  })
  await build(writer)
  await writer.finish()
  assert.equal(compareBytes(memory.bytes(), image), 0)
})

test('an image comes out the same for any cuts of content', async () => {
  const content = Uint8Array.from({ length: 20_000 }, (_, i) => i % 249)
  const cut = async (size: number): Promise<Uint8Array> => {
    const pieces: Uint8Array[] = []
    for (let at = 0; at < content.length; at += size) pieces.push(content.subarray(at, at + size))
    const { image } = await buildImage((writer) => writer.addFile('f', {}, content.length, pieces))
    return image
  }
  const expected = await cut(content.length)
  for (const size of [7, 511, 4096, 4097, 9_000]) assert.deepEqual(await cut(size), expected)
  assert.deepEqual(whole(entries(expected).get('f')), content)
})

test('sizes around blocks and tails read back, with and without attributes', async () => {
  const sizes = [
    0, 1, 31, 32, 100, 511, 512, 513, 3839, 4095, 4096, 4097, 4608, 4609, 8191, 8192, 8193,
  ]
  const xattrs = [{ name: 'user.big', value: new Uint8Array(3_700).fill(7) }]
  const { image } = await buildImage(async (writer) => {
    for (const size of sizes) {
      await writer.addFile(`f${size}`, {}, size, new Uint8Array(size).fill(size))
      await writer.addFile(`x${size}`, { xattrs }, size, new Uint8Array(size).fill(size))
    }
  })
  const found = entries(image)
  for (const size of sizes) {
    for (const name of [`f${size}`, `x${size}`]) {
      assert.deepEqual(whole(found.get(name)), new Uint8Array(size).fill(size), name)
    }
    assert.equal(found.get(`x${size}`)?.xattrs[0]?.value.length, 3_700)
  }
})

test('symlink targets of 1 to 4095 bytes read back', async () => {
  const lengths = [1, 512, 513, 4095]
  const { image } = await buildImage(async (writer) => {
    for (const length of lengths) await writer.addSymlink(`s${length}`, 'x'.repeat(length))
  })
  const found = entries(image)
  for (const length of lengths) assert.equal(whole(found.get(`s${length}`)).length, length)
  await assert.rejects(
    buildImage((writer) => writer.addSymlink('s', 'x'.repeat(4096))),
    { code: 'EROFS_LIMIT' },
  )
  await assert.rejects(
    buildImage((writer) => writer.addSymlink('s', 'a\0b')),
    { code: 'EROFS_PATH' },
  )
  await assert.rejects(
    buildImage((writer) => writer.addSymlink('s', '')),
    { code: 'EROFS_PATH' },
  )
})

test('devices, fifos and sockets keep type and number', async () => {
  const { image } = await buildImage((writer) => {
    writer.addDevice('null', 'char', 1, 3, { mode: 0o666 })
    writer.addDevice('nvme', 'block', 259, 70_000)
    writer.addFifo('fifo')
    writer.addSocket('socket')
  })
  const found = entries(image)
  assert.deepEqual(decodeDevice(found.get('nvme')?.rdev ?? 0), { major: 259, minor: 70_000 })
  assert.equal(found.get('null')?.mode, 0o020666)
  assert.equal(found.get('fifo')?.mode, 0o010644)
  assert.equal(found.get('socket')?.mode, 0o140644)
  assert.throws(() => encodeDevice(4096, 0), RangeError)
})

test('names are bytes in byte order, 5,000 of them in one directory', async () => {
  const odd = [
    Uint8Array.of(0xff, 0xfe),
    utf8('!x'),
    utf8('-x'),
    utf8('..x'),
    utf8('.x'),
    utf8('ä'),
  ]
  const { image } = await buildImage((writer) => {
    for (const name of odd) writer.addFifo(name)
    for (let i = 0; i < 5_000; i++) writer.addFifo(`many/entry-${i}`)
  })
  const paths = [...entries(image).values()].map((entry) => entry.path)
  const many = paths.filter((path) => text(path).startsWith('many/'))
  assert.equal(many.length, 5_000)
  assert.deepEqual(many, many.toSorted(compareBytes))
  for (const name of odd) assert.ok(paths.some((path) => compareBytes(path, name) === 0))
})

test('a path given twice is what came last; directories merge', async () => {
  const { image } = await buildImage(async (writer) => {
    await writer.addFile('a', {}, 1, utf8('1'))
    await writer.addFile('a', {}, 1, utf8('2'))
    await writer.addFile('dir/kept', {}, 1, utf8('k'))
    writer.addDirectory('dir', { mode: 0o711, uid: 5 })
    writer.addDirectory('gone/child')
    await writer.addSymlink('gone', 'a')
  })
  const found = entries(image)
  assert.deepEqual([...found.keys()], ['', 'a', 'dir', 'gone', 'dir/kept'])
  assert.equal(text(whole(found.get('a'))), '2')
  assert.equal(found.get('dir')?.mode, 0o040711)
  assert.equal(found.get('dir')?.xattrs.length, 0)
})

test('a directory in the place of what the layer deleted or replaced is opaque', async () => {
  const { image } = await buildImage(async (writer) => {
    writer.addWhiteout('deleted')
    await writer.addFile('deleted/new', {}, 0, utf8(''))
    await writer.addFile('replaced', {}, 0, utf8(''))
    writer.addDirectory('replaced')
    writer.addDirectory('reversed')
    writer.addWhiteout('reversed')
    await writer.addFile('file', {}, 0, utf8(''))
    writer.addWhiteout('file')
    writer.addWhiteout('wh')
  })
  const found = entries(image)
  for (const name of ['deleted', 'replaced', 'reversed']) {
    assert.equal(found.get(name)?.xattrs.length, 1, name)
  }
  assert.equal(found.get('file')?.mode, 0o100644)
  assert.equal(found.get('wh')?.mode, 0o020000)
})

test('setOpaque() marks before or after the directory, and reports the root', async () => {
  const { image, summary } = await buildImage((writer) => {
    writer.setOpaque('early')
    writer.addDirectory('early', {
      mode: 0o700,
      xattrs: [
        { name: 'user.z', value: utf8('1') },
        { name: 'security.capability', value: Uint8Array.of(1, 2, 3) },
      ],
    })
    writer.addDirectory('late')
    writer.setOpaque('late')
    writer.setOpaque('/')
  })
  const names = (path: string) =>
    entries(image)
      .get(path)
      ?.xattrs.map(({ name }) => text(name as Uint8Array))
  assert.deepEqual(names('early'), ['security.capability', 'trusted.overlay.opaque', 'user.z'])
  assert.deepEqual(names('late'), ['trusted.overlay.opaque'])
  assert.equal(summary.opaqueRoot, true)
})

test('hard links work before and after their target, in chains, and keep what was replaced', async () => {
  const { image } = await buildImage(async (writer) => {
    writer.addHardlink('c', 'b')
    writer.addHardlink('b', 'a')
    await writer.addFile('a', {}, 1, utf8('a'))
    writer.addHardlink('d', 'a')
    await writer.addFile('old', {}, 1, utf8('o'))
    writer.addHardlink('keeps', 'old')
    await writer.addFile('old', {}, 1, utf8('n'))
    writer.addHardlink('overwritten', 'missing')
    await writer.addFile('overwritten', {}, 0, utf8(''))
  })
  const found = entries(image)
  assert.equal(found.get('a')?.nlink, 4)
  for (const name of ['b', 'c', 'd']) assert.equal(found.get(name)?.nid, found.get('a')?.nid)
  assert.equal(text(whole(found.get('keeps'))), 'o')
  assert.equal(text(whole(found.get('old'))), 'n')
})

test('a hard link without a target in the image is refused', async () => {
  const cases: ((writer: ErofsWriter) => void)[] = [
    (writer) => writer.addHardlink('a', 'missing'),
    (writer) => writer.addHardlink('a', 'a'),
    (writer) => {
      writer.addHardlink('a', 'b')
      writer.addHardlink('b', 'a')
    },
    (writer) => {
      writer.addDirectory('d')
      writer.addHardlink('a', 'd')
    },
    (writer) => {
      writer.addHardlink('a', 'd')
      writer.addDirectory('d')
    },
    (writer) => {
      writer.addWhiteout('w')
      writer.addHardlink('a', 'w')
    },
  ]
  for (const build of cases) {
    await assert.rejects(buildImage(build), { code: 'EROFS_LINK_TARGET' })
  }
})

test('a hard link through a symlink finds nothing', async () => {
  await assert.rejects(
    buildImage(async (writer) => {
      await writer.addFile('real/f', {}, 0, utf8(''))
      await writer.addSymlink('way', 'real')
      writer.addHardlink('a', 'way/f')
    }),
    { code: 'EROFS_LINK_TARGET' },
  )
})

test('nothing is written through a symlink or below a file', async () => {
  for (const first of ['symlink', 'file', 'fifo', 'pending'] as const) {
    await assert.rejects(
      buildImage(async (writer) => {
        if (first === 'symlink') await writer.addSymlink('x', '/etc')
        if (first === 'file') await writer.addFile('x', {}, 0, utf8(''))
        if (first === 'fifo') writer.addFifo('x')
        if (first === 'pending') writer.addHardlink('x', 'y')
        await writer.addFile('x/passwd', {}, 0, utf8(''))
      }),
      { code: 'EROFS_NOT_DIRECTORY' },
      first,
    )
  }
  await assert.rejects(
    buildImage((writer) => writer.addSymlink('/', 'x')),
    {
      code: 'EROFS_NOT_DIRECTORY',
    },
  )
})

test('splitPath() normalises and refuses what leaves the root or passes a limit', () => {
  for (const path of ['a/b', './a/b', '/a/b', 'a//b/', 'a/./b/.', '//a/b']) {
    assert.deepEqual(splitPath(path).map(text), ['a', 'b'], path)
  }
  for (const path of ['', '/', '.', './', './/.']) assert.deepEqual(splitPath(path), [])
  assert.deepEqual(splitPath('...').map(text), ['...'])
  for (const path of ['..', 'a/..', '../a', 'a/../b', '/..', 'a\0']) {
    assert.throws(() => splitPath(path), { code: 'EROFS_PATH' }, path)
  }
  assert.equal(splitPath(`a/${'b'.repeat(255)}`).length, 2)
  for (const path of ['b'.repeat(256), 'a/'.repeat(257), 'ab/'.repeat(1_366)]) {
    assert.throws(() => splitPath(path), { code: 'EROFS_LIMIT' })
  }
})

test('addFile() refuses content of another size than announced', async () => {
  for (const [size, content] of [
    [2, 'a'],
    [2, 'abc'],
    [0, 'a'],
    [5000, 'a'],
  ] as const) {
    await assert.rejects(
      buildImage((writer) => writer.addFile('f', {}, size, utf8(content))),
      {
        code: 'EROFS_SIZE',
      },
    )
  }
})

test('attributes that EROFS cannot store are refused', async () => {
  const value = utf8('v')
  const bad = [
    [[{ name: 'other.x', value }], 'EROFS_XATTR'],
    [[{ name: 'user.', value }], 'EROFS_XATTR'],
    [[{ name: 'user.a\0b', value }], 'EROFS_XATTR'],
    [[{ name: 'system.posix_acl_accessx', value }], 'EROFS_XATTR'],
    [
      [
        { name: 'user.a', value },
        { name: 'user.a', value },
      ],
      'EROFS_XATTR',
    ],
    [[{ name: 'user.a', value: new Uint8Array(65_536) }], 'EROFS_LIMIT'],
    [[{ name: `user.${'a'.repeat(256)}`, value }], 'EROFS_LIMIT'],
    [[1, 2, 3].map((i) => ({ name: `user.${i}`, value: new Uint8Array(30_000) })), 'EROFS_LIMIT'],
  ] as const
  for (const [xattrs, code] of bad) {
    await assert.rejects(
      buildImage((writer) => writer.addFifo('f', { xattrs })),
      { code },
    )
  }
  const { image } = await buildImage((writer) =>
    writer.addDirectory('d', {
      xattrs: [
        { name: 'system.posix_acl_access', value },
        { name: 'system.posix_acl_default', value: new Uint8Array(0) },
        { name: Uint8Array.of(...utf8('user.'), 0xff), value },
      ],
    }),
  )
  assert.equal(entries(image).get('d')?.xattrs.length, 3)
})

test('attributes out of range are a mistake of the caller', async () => {
  const bad = [
    { mode: 0o10000 },
    { mode: -1 },
    { uid: 2 ** 32 },
    { gid: -1 },
    { mtime: { seconds: 0, nanoseconds: 1e9 } },
    { mtime: { seconds: 2 ** 60, nanoseconds: 0 } },
  ]
  for (const attributes of bad) {
    await assert.rejects(
      buildImage((writer) => writer.addFifo('f', attributes)),
      RangeError,
    )
  }
  const mtime = { seconds: -5, nanoseconds: 999_999_999 }
  const { image } = await buildImage((writer) => writer.addFifo('f', { mtime }))
  assert.deepEqual(entries(image).get('f')?.mtime, mtime)
})

test('any tree reads back as it was written', async () => {
  const name = fc.constantFrom('a', 'b', '.c', 'long-name'.repeat(20), 'ü')
  const path = fc.array(name, { minLength: 1, maxLength: 4 }).map((names) => names.join('/'))
  const entry = fc.record({
    path,
    kind: fc.constantFrom('file', 'directory', 'symlink', 'fifo'),
    size: fc.oneof(fc.nat(600), fc.nat(10_000)),
    mode: fc.nat(0o7777),
    uid: fc.nat(),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(entry, { maxLength: 30 }), async (list) => {
      const expected = new Map<string, (typeof list)[number]>()
      const { image } = await buildImage(async (writer) => {
        for (const item of list) {
          const above = item.path
            .split('/')
            .slice(0, -1)
            .map((_, i, all) => all.slice(0, i + 1).join('/'))
          if (above.some((p) => expected.has(p) && expected.get(p)?.kind !== 'directory')) continue
          for (const known of expected.keys()) {
            if (item.kind !== 'directory' && known.startsWith(`${item.path}/`))
              expected.delete(known)
          }
          const { mode, uid, size } = item
          if (item.kind === 'directory') writer.addDirectory(item.path, { mode, uid })
          if (item.kind === 'file') {
            await writer.addFile(item.path, { mode, uid }, size, new Uint8Array(size).fill(size))
          }
          if (item.kind === 'symlink') await writer.addSymlink(item.path, `t${size}`, { mode, uid })
          if (item.kind === 'fifo') writer.addFifo(item.path, { mode, uid })
          expected.set(item.path, item)
        }
      })
      const found = entries(image)
      for (const [at, item] of expected) {
        const got = found.get(text(utf8(at)))
        assert.equal((got?.mode ?? 0) & 0o7777, item.mode)
        assert.equal(got?.uid, item.uid)
        if (item.kind === 'file')
          assert.deepEqual(whole(got), new Uint8Array(item.size).fill(item.size))
        if (item.kind === 'symlink') assert.equal(text(whole(got)), `t${item.size}`)
      }
    }),
    { numRuns: 60 },
  )
})
