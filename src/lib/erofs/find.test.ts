import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { basicImage, buildImage } from '../../../test/support/erofs-image.ts'
import { claimedLength, type ErofsSource, findErofs, memorySource } from './index.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

async function tree(): Promise<ErofsSource> {
  const { image } = await buildImage(async (writer) => {
    const file = (path: string, data: string) => writer.addFile(path, {}, data.length, utf8(data))
    await file('usr/lib/os', 'os')
    await file('usr/lib/deep/er/file', 'deep')
    await file('top', 'top')
    await writer.addSymlink('lib', 'usr/lib')
    await writer.addSymlink('etc/os', '../usr/lib/os')
    await writer.addSymlink('etc/absolute', '/lib/os')
    await writer.addSymlink('etc/outside', '../../../../../top')
    await writer.addSymlink('usr/lib/up', 'deep/er/../../../../top')
    await writer.addSymlink('round/a', 'b')
    await writer.addSymlink('round/b', '../round/a')
    await writer.addSymlink('dangling', 'nowhere')
    await writer.addSymlink('slash', 'top/')
    for (let i = 0; i < 45; i++)
      await writer.addSymlink(`chain/${i}`, i === 0 ? '../top' : `${i - 1}`)
    writer.addWhiteout('usr/gone')
    for (let i = 0; i < 1000; i++) await file(`many/name-${i}`, `${i}`)
  })
  return memorySource(image)
}

test('findErofs() finds what the walk finds, with its bytes', () => {
  const entry = findErofs(memorySource(basicImage()), 'd/hello')
  assert.equal(text(entry.content(0, entry.size)), 'hello\n')
  assert.equal(entry.nlink, 2)
  assert.equal(text(entry.path), 'd/hello')
})

test('findErofs() follows symlinks as a kernel does whose root is the image', async () => {
  const source = await tree()
  for (const [path, at, content] of [
    ['top', 'top', 'top'],
    ['/top', 'top', 'top'],
    ['//./top', 'top', 'top'],
    ['../../top', 'top', 'top'],
    ['lib/os', 'usr/lib/os', 'os'],
    ['etc/os', 'usr/lib/os', 'os'],
    ['etc/absolute', 'usr/lib/os', 'os'],
    ['etc/outside', 'top', 'top'],
    ['lib/up', 'top', 'top'],
    ['lib/deep/../os', 'usr/lib/os', 'os'],
    // `..` of where a symlink leads, not of where it lies
    ['lib/../lib/os', 'usr/lib/os', 'os'],
    ['chain/39', 'top', 'top'],
    ['many/name-999', 'many/name-999', '999'],
  ] as const) {
    const entry = findErofs(source, path)
    assert.equal(text(entry.path), at, path)
    assert.equal(text(entry.content(0, entry.size)), content, path)
  }
  assert.equal(text(findErofs(source, '/').path), '')
  assert.equal(text(findErofs(source, 'lib/').path), 'usr/lib')
})

test('findErofs() refuses what is not there, is no directory, or leads in circles', async () => {
  const source = await tree()
  for (const [path, code] of [
    ['nothing', 'EROFS_NOT_FOUND'],
    ['usr/lib/os/x', 'EROFS_NOT_FOUND'],
    ['top/', 'EROFS_NOT_FOUND'],
    ['top/..', 'EROFS_NOT_FOUND'],
    ['slash', 'EROFS_NOT_FOUND'],
    ['dangling', 'EROFS_NOT_FOUND'],
    ['usr/gone/x', 'EROFS_NOT_FOUND'],
    ['many/name-1000', 'EROFS_NOT_FOUND'],
    ['round/a', 'EROFS_LOOP'],
    ['chain/40', 'EROFS_LOOP'],
    [`${'a/'.repeat(2049)}`, 'EROFS_LIMIT'],
  ] as const) {
    assert.throws(() => findErofs(source, path), { code }, path)
  }
})

test('findErofs() refuses an inode or a directory on its way that our writer would not make', () => {
  for (const [at, byte] of [
    [0x0400, 0],
    [0x2040, 3],
    [0x2241, 1],
    [0x22aa, 0xff],
    [0x22c3, 0x7a],
  ] as const) {
    const image = basicImage()
    assert.notEqual(image[at], byte)
    image[at] = byte
    assert.throws(() => findErofs(memorySource(image), 'd/hello'), { code: 'EROFS_INVALID' })
  }
})

test('findErofs() ends on a path whose symlinks grow it without end', async () => {
  const { image } = await buildImage(async (writer) => {
    await writer.addSymlink('grow', `grow${'/x'.repeat(2040)}`)
  })
  assert.throws(() => findErofs(memorySource(image), 'grow'), { code: 'EROFS_LOOP' })
})

/** An image whose root has a directory `s`; `change` gets the dirent of it in the root. */
async function withDirent(change: (dirent: DataView, root: number) => void): Promise<ErofsSource> {
  const { image } = await buildImage(async (writer) => writer.addDirectory('s', {}))
  const source = memorySource(image)
  const nid = Buffer.alloc(8)
  nid.writeBigUInt64LE(BigInt(findErofs(source, 's').nid))
  // The root stands before what it holds, and so does its dirent.
  const at = Buffer.from(image).indexOf(nid, 4096)
  change(new DataView(image.buffer, image.byteOffset + at, 12), findErofs(source, '/').nid)
  return memorySource(image)
}

test('findErofs() goes no deeper than our writer makes a path, though a root holds itself', async () => {
  const source = await withDirent((dirent, root) => dirent.setBigUint64(0, BigInt(root), true))
  assert.equal(findErofs(source, 's/'.repeat(256)).path.length, 511)
  assert.throws(() => findErofs(source, 's/'.repeat(257)), { code: 'EROFS_INVALID' })
})

test('findErofs() refuses a dirent that says another type than its inode', async () => {
  const source = await withDirent((dirent) => dirent.setUint8(10, 1))
  assert.throws(() => findErofs(source, 's'), { code: 'EROFS_INVALID' })
})

test('claimedLength() refuses an image that ends in its first block', () => {
  for (const length of [0, 100, 4095]) {
    const first = basicImage().subarray(0, length)
    assert.throws(() => claimedLength(first), { code: 'EROFS_INVALID' })
  }
})
