import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { concat, utf8 } from '#lib/bytes'
import {
  paxHeader,
  sumHeader,
  type TarFields,
  tarArchive,
  tarEntry,
} from '../../../test/support/tar-builder.ts'
import { readTar, type TarEntry, type TarLimits } from './index.ts'

interface Read extends Omit<TarEntry, 'content' | 'path' | 'linkPath' | 'xattrs'> {
  readonly path: string
  readonly linkPath: string
  readonly xattrs: Readonly<Record<string, string>>
  readonly data: string
}

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

async function read(
  pieces: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  limits?: TarLimits,
): Promise<Read[]> {
  const found: Read[] = []
  for await (const { content, path, linkPath, xattrs, ...rest } of readTar(pieces, limits)) {
    let data = ''
    for await (const piece of content) data += text(piece)
    const named = xattrs.map(({ name, value }) => [text(name), text(value)] as const)
    found.push({
      ...rest,
      path: text(path),
      linkPath: text(linkPath),
      xattrs: Object.fromEntries(named),
      data,
    })
  }
  return found
}

const one = async (...entries: Uint8Array[]): Promise<Read> => {
  const found = await read([tarArchive(...entries)])
  assert.equal(found.length, 1)
  return found[0] as Read
}

const refuses = (code: string, ...entries: Uint8Array[]): Promise<void> =>
  assert.rejects(read([tarArchive(...entries)]), { code })

function vector(name: string): Uint8Array {
  return readFileSync(new URL(`../../../test/vectors/tar/${name}`, import.meta.url))
}

test('readTar() reads what GNU tar wrote in three formats', async () => {
  const long = 'n'.repeat(90)
  for (const format of ['gnu', 'pax', 'ustar']) {
    const found = await read([vector(`${format}.tar`)])
    const names = ['./', './big', './dir/', './dir/file', './fifo', './hard']
    const longs = [`./${long}/`, `./${long}/${long}`]
    assert.deepEqual(
      found.map(({ path }) => path),
      [...names, ...longs, './sym'],
      format,
    )
    const by = (path: string) => found.find((entry) => entry.path === path)
    assert.equal(by('./dir/file')?.data, 'hello\n')
    assert.equal(by('./hard')?.type, 'hardlink')
    assert.equal(by('./hard')?.linkPath, './dir/file')
    assert.equal(by('./sym')?.linkPath, 'dir/file')
    assert.equal(by('./fifo')?.type, 'fifo')
    assert.equal(by('./big')?.data.length, 700)
    assert.equal(by('./big')?.uid, 1000)
    assert.equal(by('./big')?.gid, 100)
    assert.deepEqual(by('./big')?.mtime, { seconds: 1_700_000_000, nanoseconds: 0 })
    if (format === 'pax') assert.deepEqual(by('./big')?.xattrs, { 'user.note': 'value' })
  }
})

test('any cuts of the stream give the same entries', async () => {
  const archive = vector('pax.tar')
  const expected = await read([archive])
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 0, max: 2000 }), { minLength: 1, maxLength: 20 }),
      async (sizes) => {
        const pieces: Uint8Array[] = []
        for (let at = 0, i = 0; at < archive.length; i++) {
          const size = Math.max(i % sizes.length === 0 ? 1 : 0, sizes[i % sizes.length] as number)
          pieces.push(archive.subarray(at, at + size))
          at += size
        }
        assert.deepEqual(await read(pieces), expected)
      },
    ),
    { numRuns: 30 },
  )
})

test('a cut at every 64 bytes before the end is refused', async () => {
  const archive = tarArchive(
    paxHeader({ path: 'x/long' }),
    tarEntry({ data: 'some data' }),
    tarEntry({ name: 'd/', type: '5' }),
  )
  for (let length = 0; length < archive.length; length += 64) {
    await assert.rejects(
      read([archive.subarray(0, length)]),
      { code: 'TAR_TRUNCATED' },
      `${length}`,
    )
  }
})

test('entries may be left unread', async () => {
  const archive = tarArchive(
    tarEntry({ data: 'x'.repeat(5000) }),
    tarEntry({ name: 'b', data: 'b' }),
  )
  const names: string[] = []
  for await (const entry of readTar([archive])) names.push(text(entry.path))
  assert.deepEqual(names, ['file', 'b'])
})

test('a reader that stops early lets its source go', async () => {
  let closed = false
  async function* source(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) yield tarEntry({})
    } finally {
      closed = true
    }
  }
  for await (const _ of readTar(source())) break
  assert.ok(closed)
  closed = false
  await assert.rejects(read(source(), { maxEntries: 3 }), { code: 'TAR_LIMIT' })
  assert.ok(closed)
})

test('PAX overrides the header for the next entry only', async () => {
  const pax = paxHeader({
    path: 'long/näme',
    linkpath: 'target',
    uid: '4294967294',
    gid: '7',
    mtime: '1700000000.123456789999',
    size: '3',
    comment: 'ignored',
  })
  const archive = tarArchive(
    pax,
    tarEntry({ size: '00000000000', data: 'abc' }),
    tarEntry({ name: 'b' }),
  )
  const [a, b] = await read([archive])
  assert.equal(a?.path, text(utf8('long/näme')))
  assert.equal(a?.data, 'abc')
  assert.equal(a?.uid, 4_294_967_294)
  assert.deepEqual(a?.mtime, { seconds: 1_700_000_000, nanoseconds: 123_456_789 })
  assert.equal(b?.path, 'b')
  assert.equal(b?.uid, 0)
})

test('the PAX size decides where the next entry begins (CVE-2025-62518)', async () => {
  const inner = tarEntry({ name: 'smuggled' })
  const outer = tarEntry({ name: 'outer', size: '00000000000', data: inner })
  const found = await read([tarArchive(paxHeader({ size: `${inner.length}` }), outer)])
  assert.deepEqual(
    found.map(({ path }) => path),
    ['outer'],
  )
  assert.equal(found[0]?.data.length, inner.length)
})

test('a PAX size does not change how much of a following long name is read', async () => {
  const name = 'n'.repeat(600)
  const long = tarEntry({ type: 'L', name: '././@LongLink', data: `${name}\0` })
  const entry = await one(
    paxHeader({ size: '3' }),
    long,
    tarEntry({ size: '00000000000', data: 'abc' }),
  )
  assert.equal(entry.path, name)
  assert.equal(entry.data, 'abc')
})

test('an empty PAX value leaves the header as it is', async () => {
  const entry = await one(
    paxHeader({ path: '', size: '', mtime: '' }),
    tarEntry({ data: 'ab', mtime: 5 }),
  )
  assert.equal(entry.path, 'file')
  assert.equal(entry.data, 'ab')
  assert.equal(entry.mtime.seconds, 5)
})

test('times before 1970 keep their fraction', async () => {
  const at = async (mtime: string) => (await one(paxHeader({ mtime }), tarEntry({}))).mtime
  assert.deepEqual(await at('-1.25'), { seconds: -2, nanoseconds: 750_000_000 })
  assert.deepEqual(await at('-3'), { seconds: -3, nanoseconds: 0 })
  assert.deepEqual(await at('0.5'), { seconds: 0, nanoseconds: 500_000_000 })
  assert.deepEqual(await at('7.'), { seconds: 7, nanoseconds: 0 })
})

test('extended attributes come raw or in the form of libarchive', async () => {
  const entry = await one(
    paxHeader({
      'SCHILY.xattr.user.raw': Uint8Array.of(0, 10, 255),
      'LIBARCHIVE.xattr.user.a%20b': 'aGk',
      'LIBARCHIVE.xattr.user.raw': 'AAAA',
    }),
    tarEntry({}),
  )
  assert.deepEqual(entry.xattrs, { 'user.raw': '\0\n\xff', 'user.a b': 'hi' })
  await refuses('TAR_INVALID', paxHeader({ 'LIBARCHIVE.xattr.user.a': '!' }), tarEntry({}))
  await refuses('TAR_INVALID', paxHeader({ 'LIBARCHIVE.xattr.user.%zz': 'aGk' }), tarEntry({}))
})

test('global headers are passed over', async () => {
  const global = tarEntry({ type: 'g', data: '16 path=ignored\n' })
  assert.equal((await one(global, tarEntry({ name: 'f' }))).path, 'f')
  await refuses('TAR_INVALID', tarEntry({ type: 'g', data: 'nonsense' }), tarEntry({}))
})

test('numbers are octal with spaces or base-256', async () => {
  const cases: [string | Uint8Array, number][] = [
    ['       12\0 ', 10],
    ['12\0', 10],
    [Uint8Array.of(0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10), 10],
  ]
  for (const [field, size] of cases) {
    const entry = tarEntry({ data: 'abcdefghij' })
    entry.fill(0, 124, 136)
    entry.set(typeof field === 'string' ? utf8(field) : field, 124)
    sumHeader(entry)
    assert.equal((await one(entry)).size, size)
  }
  const time = tarEntry({})
  time.set(new Uint8Array(12).fill(0xff), 136)
  sumHeader(time)
  assert.equal((await one(time)).mtime.seconds, -1)
})

test('bad numbers are refused', async () => {
  const huge = new Uint8Array(12).fill(0x7f)
  huge[0] = 0x80
  const bad: (string | Uint8Array)[] = [
    '0000000000x',
    '9',
    '-1',
    '1 2',
    new Uint8Array(12).fill(0xff),
    huge,
  ]
  for (const field of bad) {
    const entry = tarEntry({})
    entry.fill(0, 124, 136)
    entry.set(typeof field === 'string' ? utf8(field) : field, 124)
    sumHeader(entry)
    await refuses('TAR_INVALID', entry)
  }
  const uid = tarEntry({})
  uid.set(Uint8Array.of(0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff), 108)
  sumHeader(uid)
  await refuses('TAR_INVALID', uid)
})

test('the checksum must match, as unsigned or signed sum', async () => {
  await refuses('TAR_CHECKSUM', tarEntry({ checksumError: 1 }))
  const signed = tarEntry({ name: Uint8Array.of(0xe4, 0xff) })
  sumHeader(signed, -512)
  assert.equal((await one(signed)).path, '\xe4\xff')
  const archive = tarArchive(tarEntry({}))
  for (let at = 0; at < 512; at += 7) {
    const flipped = archive.slice()
    flipped[at] = (flipped[at] ?? 0) ^ 0x04
    await assert.rejects(read([flipped]), /TarError|checksum|number/, `${at}`)
  }
})

test('the prefix is read in ustar and star, not in GNU and v7', async () => {
  const at = async (fields: TarFields) =>
    (await one(tarEntry({ name: 'f', prefix: 'dir', ...fields }))).path
  assert.equal(await at({}), 'dir/f')
  assert.equal(await at({ magic: 'ustar  \0' }), 'f')
  assert.equal(await at({ magic: '' }), 'f')
  // star keeps times behind the first 131 bytes of the prefix.
  const star = tarEntry({ name: 'f', prefix: `${'p'.repeat(131)}00000000000 ` })
  star.set(utf8('tar\0'), 508)
  sumHeader(star)
  assert.equal((await one(star)).path, `${'p'.repeat(131)}/f`)
})

test('a file whose name ends in a slash is a directory and its data is skipped', async () => {
  const found = await read([
    tarArchive(tarEntry({ name: 'd/', data: 'junk' }), tarEntry({ name: 'f' })),
  ])
  assert.deepEqual(
    found.map(({ type, path, size }) => [type, path, size]),
    [
      ['directory', 'd/', 0],
      ['file', 'f', 0],
    ],
  )
})

test('links, directories and devices have no data whatever their size field says', async () => {
  for (const type of ['1', '2', '3', '4', '5', '6']) {
    const found = await read([
      tarArchive(
        tarEntry({ type, size: '00000001000', major: 1, minor: 3 }),
        tarEntry({ name: 'next' }),
      ),
    ])
    assert.equal(found[1]?.path, 'next', type)
  }
})

test('devices carry their numbers', async () => {
  const entry = await one(tarEntry({ type: '3', major: 10, minor: 200 }))
  assert.deepEqual([entry.type, entry.major, entry.minor], ['char', 10, 200])
  await refuses('TAR_INVALID', tarEntry({ type: '4', major: 4096, minor: 0 }))
})

test('sparse files and other types are refused', async () => {
  for (const type of ['S', 'M', 'V', 'D', 'X', 'A', '8']) {
    await refuses('TAR_UNSUPPORTED', tarEntry({ type }))
  }
  for (const key of ['GNU.sparse.major', 'GNU.sparse.map', 'GNU.sparse.name']) {
    await refuses('TAR_UNSUPPORTED', paxHeader({ [key]: '1' }), tarEntry({}))
  }
})

test('PAX records that do not add up are refused', async () => {
  for (const data of [
    'x',
    '5 a=b',
    '6 a=b\nrest',
    '7 a=b\n',
    '5 a=b\n',
    '06 ab\n',
    '6 =ab\n',
    ' 6 a=b\n',
    '0 a=b\n',
    '3 \n',
    '99999999 a=b\n',
    '-6 a=b\n',
  ]) {
    await refuses('TAR_INVALID', tarEntry({ type: 'x', data }), tarEntry({}))
  }
  for (const [key, value] of [
    ['size', '-1'],
    ['size', '1x'],
    ['size', '99999999999999999'],
    ['uid', '4294967295'],
    ['mtime', 'now'],
    ['mtime', '1e5'],
    ['path', 'a\0b'],
    ['linkpath', 'a\0b'],
  ] as const) {
    await refuses('TAR_INVALID', paxHeader({ [key]: value }), tarEntry({}))
  }
  await refuses('TAR_INVALID', paxHeader({ mtime: Uint8Array.of(0xff) }), tarEntry({}))
})

test('two metadata headers of a kind before one entry are refused', async () => {
  const x = paxHeader({ uid: '1' })
  const L = tarEntry({ type: 'L', data: 'name\0' })
  const K = tarEntry({ type: 'K', data: 'link\0' })
  for (const header of [x, L, K]) {
    await refuses('TAR_INVALID', header, header, tarEntry({}))
    await refuses('TAR_INVALID', header)
  }
  assert.equal((await one(L, K, x, tarEntry({ type: '2', link: 'other' }))).linkPath, 'link')
  await refuses('TAR_INVALID', paxHeader({ path: 'other' }), L, tarEntry({}))
  assert.equal((await one(paxHeader({ path: 'name' }), L, tarEntry({}))).path, 'name')
})

test('a metadata header above 1 MiB is refused before it is read', async () => {
  for (const type of ['x', 'g', 'L', 'K']) {
    await refuses('TAR_LIMIT', tarEntry({ type, size: '00004000001' }))
  }
})

test('more entries than allowed are refused', async () => {
  const archive = tarArchive(...Array.from({ length: 4 }, () => tarEntry({})))
  assert.equal((await read([archive], { maxEntries: 4 })).length, 4)
  await assert.rejects(read([archive], { maxEntries: 3 }), { code: 'TAR_LIMIT' })
})

test('the end is two zero blocks, then nothing but zeros', async () => {
  assert.deepEqual(await read([new Uint8Array(1024)]), [])
  assert.deepEqual(await read([new Uint8Array(10_240)]), [])
  await assert.rejects(read([concat(tarArchive(), tarEntry({}))]), { code: 'TAR_TRAILING' })
  await assert.rejects(read([concat(tarArchive(), Uint8Array.of(1))]), { code: 'TAR_TRAILING' })
  await assert.rejects(read([concat(new Uint8Array(512), tarArchive(tarEntry({})))]), {
    code: 'TAR_INVALID',
  })
  await assert.rejects(read([]), { code: 'TAR_TRUNCATED' })
})
