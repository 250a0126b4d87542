import assert from 'node:assert/strict'
import { test } from 'node:test'
import { basicImage } from '../../../test/support/erofs-image.ts'
import { crc32cRaw } from './crc32c.ts'
import { type ErofsEntry, memorySource, readErofs } from './index.ts'

const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1')

function entries(image: Uint8Array): Map<string, ErofsEntry> {
  return new Map([...readErofs(memorySource(image))].map((entry) => [text(entry.path), entry]))
}

const whole = (entry: ErofsEntry | undefined): Uint8Array =>
  (entry as ErofsEntry).content(0, (entry as ErofsEntry).size)

test('readErofs() reads the vector back', () => {
  const found = entries(basicImage())
  assert.deepEqual([...found.keys()], ['', 'd', 'hl', 'ln', 'page', 'wh', 'd/hello'])
  assert.equal(found.get('hl')?.nid, found.get('d/hello')?.nid)
  assert.equal(found.get('hl')?.nlink, 2)
  assert.equal(text(whole(found.get('hl'))), 'hello\n')
  assert.equal(text(whole(found.get('ln'))), 'd/hello')
  const opaque = found.get('d')?.xattrs[0]
  assert.equal(text(opaque?.name as Uint8Array), 'trusted.overlay.opaque')
  assert.deepEqual(found.get('page')?.mtime, { seconds: 1_700_000_000, nanoseconds: 5 })
})

test('readErofs() refuses a cut at every 512 bytes and an image that is longer', () => {
  const image = basicImage()
  for (let length = 0; length < image.length; length += 512) {
    assert.throws(() => entries(image.subarray(0, length)), { code: 'EROFS_INVALID' })
  }
  const longer = new Uint8Array(16_384)
  longer.set(image)
  assert.throws(() => entries(longer), { code: 'EROFS_INVALID' })
})

const MUTATIONS: readonly (readonly [string, number, readonly number[]])[] = [
  ['magic', 0x400, [0]],
  ['checksum', 0x404, [0]],
  ['boot area', 0x10, [1]],
  ['inode layout', 0x2040, [0x03]],
  ['compact inode', 0x2040, [0x04]],
  ['reserved format bit', 0x2041, [1]],
  ['mode without a type', 0x2104, [0, 0]],
  ['root is a file', 0x2044, [0xa4, 0x81]],
  ['size beyond the tail limit', 0x2108, [0, 3]],
  ['high start block', 0x21c6, [1]],
  ['start block 0', 0x21d0, [0]],
  ['start block in the metadata area', 0x21d0, [2]],
  ['ino twice', 0x21d4, [3]],
  ['ino 0', 0x21d4, [0]],
  ['nanoseconds', 0x21eb, [0xff]],
  ['nlink of a file', 0x212c, [3]],
  ['nlink of a directory', 0x206c, [4]],
  ['reserved end of an inode', 0x207f, [1]],
  ['xattr count', 0x2242, [5]],
  ['xattr filter', 0x2280, [1]],
  ['xattr index', 0x228d, [5]],
  ['xattr padding', 0x229f, [1]],
  ['device with a size', 0x2208, [1]],
  ['nid of a dirent', 0x20a4, [0xff]],
  ['nid of .', 0x2080, [8]],
  ['nid of ..', 0x208c, [18]],
  ['nameoff', 0x2094, [0x56]],
  ['first nameoff', 0x2088, [0x55]],
  ['dirent type', 0x20a2, [1]],
  ['reserved dirent byte', 0x20a3, [1]],
  ['unsorted name', 0x20d7, [0x7a]],
  ['slash in a name', 0x20dd, [0x2f]],
  ['NUL in a name', 0x20dd, [0]],
  ['bytes before the root', 0x2000, [1]],
  ['. missing', 0x20d4, [0x21]],
]

test('readErofs() refuses each break of a rule', () => {
  for (const [what, at, bytes] of MUTATIONS) {
    const image = basicImage()
    image.set(bytes, at)
    assert.throws(() => entries(image), { code: 'EROFS_INVALID' }, what)
  }
})

test('readErofs() refuses superblock fields that are not ours even under a right checksum', () => {
  const fields = [
    [0x408, 2],
    [0x40c, 11],
    [0x40d, 1],
    [0x40e, 8],
    [0x410, 7],
    [0x424, 4],
    [0x428, 1],
    [0x450, 4],
    [0x45a, 1],
    [0x460, 1],
  ]
  for (const [at, value] of fields as [number, number][]) {
    const image = basicImage()
    image[at] = value
    const view = new DataView(image.buffer)
    view.setUint32(0x404, 0, true)
    view.setUint32(0x404, crc32cRaw(image.subarray(1024, 4096)), true)
    assert.throws(() => entries(image), { code: 'EROFS_INVALID' }, at.toString(16))
  }
})
