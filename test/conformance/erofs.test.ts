import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import { utf8 } from '#lib/bytes'
import { createErofsWriter } from '#lib/erofs'
import { spoolLayer, unpackLayer } from '#lib/layer'
import { openSealed, readSealed, sealedLayout } from '#lib/sealed'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import { encryptBlob, MemoryFile, pieces, sha256 } from '../support/layer-blob.ts'
import { tarArchive, tarEntry } from '../support/tar-builder.ts'

/** What the trees are compared with: GNU tar reads both and writes every attribute it finds. */
const TAR = [
  '--format=pax',
  '--sort=name',
  '--numeric-owner',
  '--xattrs',
  '--xattrs-include=*',
  '--pax-option=delete=atime,delete=ctime',
]

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const program of ['tar', 'fsck.erofs', 'python3']) {
    if (spawnSync('sh', ['-c', `command -v ${program}`]).status !== 0) return `needs ${program}`
  }
  return /\berofs\b/.test(readFileSync('/proc/filesystems', 'utf8')) ? undefined : 'needs EROFS'
}

describe('our EROFS images in the kernel', { skip: missing() ?? false }, () => {
  test('a tree of every kind of entry is the same as GNU tar unpacks it', async () => {
    using folder = temporary()
    const tree = join(folder.path, 'tree')
    buildTree(tree)
    await compare(folder.path, tar(tree, ['.']))
  })

  test('the /etc of this machine is the same as GNU tar unpacks it', async () => {
    using folder = temporary()
    await compare(folder.path, tar('/etc', ['.']))
  })

  test('overlayfs reads our whiteouts and opaque directories as OCI means them', async () => {
    using folder = temporary()
    const base = tarArchive(
      tarEntry({ name: 'gone', data: '1' }),
      tarEntry({ name: 'kept', data: '1' }),
      tarEntry({ name: 'dir/lower', data: '1' }),
      tarEntry({ name: 'opaque/lower', data: '1' }),
      tarEntry({ name: 'again/lower', data: '1' }),
      tarEntry({ name: 'wasdir/lower', data: '1' }),
    )
    const top = tarArchive(
      tarEntry({ name: '.wh.gone' }),
      tarEntry({ name: 'dir/upper', data: '2' }),
      tarEntry({ name: 'opaque/upper', data: '2' }),
      tarEntry({ name: 'opaque/.wh..wh..opq' }),
      tarEntry({ name: '.wh.again' }),
      tarEntry({ name: 'again/upper', data: '2' }),
      tarEntry({ name: 'wasdir', data: '2' }),
    )
    using lower = mountImage(folder.path, 'base', await toImage(base))
    using upper = mountImage(folder.path, 'top', await toImage(top))
    const merged = join(folder.path, 'merged')
    mkdirSync(merged)
    const data = `lowerdir=${upper.path}:${lower.path}`
    linuxMounts.mount({ source: 'overlay', target: merged, type: 'overlay', flags: 1, data })
    try {
      const found = readdirSync(merged, { recursive: true }).sort()
      const wanted = ['again', 'again/upper', 'dir', 'dir/lower', 'dir/upper', 'kept', 'opaque']
      assert.deepEqual(found, [...wanted, 'opaque/upper', 'wasdir'])
    } finally {
      linuxMounts.unmount(merged)
    }
  })

  test('a file above 4 GiB, and what stands behind it, keep every byte', async () => {
    using folder = temporary()
    const size = 2 ** 32 + 12_345
    const marks = new Map([
      [0, 'start'],
      [2 ** 31 - 3, 'middle'],
      [2 ** 32 - 3, 'border'],
      [size - 3, 'end'],
    ])
    const file = join(folder.path, 'large.erofs')
    const fd = openSync(file, 'w')
    let at = 0
    const zeros = Buffer.alloc(2 ** 20)
    const writer = createErofsWriter({
      sink: {
        append(bytes) {
          // Zeros become holes, so that the test needs no disk of this size.
          if (zeros.compare(bytes, 0, bytes.length, 0, bytes.length) !== 0) {
            writeSync(fd, bytes, 0, bytes.length, at)
          }
          at += bytes.length
          ftruncateSync(fd, at)
        },
        rewrite: (offset, bytes) => void writeSync(fd, bytes, 0, bytes.length, offset),
      },
    })
    function* content(): Generator<Uint8Array> {
      for (let done = 0; done < size; done += zeros.length) {
        const piece = new Uint8Array(zeros.subarray(0, Math.min(zeros.length, size - done)))
        for (const [offset, text] of marks) {
          const bytes = utf8(text)
          for (const [i, byte] of bytes.entries()) {
            const within = offset + i - done
            if (within >= 0 && within < piece.length) piece[within] = byte
          }
        }
        yield piece
      }
    }
    await writer.addFile('large', {}, size, content())
    await writer.addFile('small', {}, 5000, new Uint8Array(5000).fill(7))
    await writer.finish()
    closeSync(fd)
    const target = join(folder.path, 'mounted')
    mkdirSync(target)
    const flags = MOUNT_FLAGS.rdonly | MOUNT_FLAGS.nosuid | MOUNT_FLAGS.nodev
    assert.equal(spawnSync('fsck.erofs', [file], { encoding: 'utf8' }).stderr, '')
    linuxMounts.mount({ source: file, target, type: 'erofs', flags })
    try {
      assert.equal(statSync(join(target, 'large')).size, size)
      const large = openSync(join(target, 'large'), 'r')
      for (const [offset, text] of marks) {
        const bytes = Buffer.alloc(Math.min(text.length, size - offset))
        readSync(large, bytes, 0, bytes.length, offset)
        assert.equal(bytes.toString(), text.slice(0, bytes.length))
      }
      closeSync(large)
      assert.deepEqual(readFileSync(join(target, 'small')), Buffer.alloc(5000, 7))
    } finally {
      linuxMounts.unmount(target)
    }
  })

  test('fsck.erofs and the kernel find a damaged superblock: the comparison can fail', async () => {
    using folder = temporary()
    const image = (await toImage(tarArchive(tarEntry({ data: 'x' })))).slice()
    image[1025] = (image[1025] ?? 0) ^ 1
    assert.notEqual(fsck(folder.path, image), '')
    assert.throws(() => mountImage(folder.path, 'bad', image))
  })
})

async function compare(folder: string, archive: Uint8Array): Promise<void> {
  const image = await toImage(archive)
  assert.equal(fsck(folder, image), '')
  const truth = join(folder, 'truth')
  mkdirSync(truth)
  const options = ['--numeric-owner', '--xattrs', '--xattrs-include=*', '-xpf', '-']
  const stdio = ['pipe', 'ignore', 'ignore'] as const
  execFileSync('tar', ['-C', truth, ...options], { input: archive, stdio: [...stdio] })
  using mounted = mountImage(folder, 'mounted', image)
  const [ours, theirs] = [tar(mounted.path, ['.']), tar(truth, ['.'])]
  if (!Buffer.from(ours).equals(Buffer.from(theirs))) assert.equal(listing(ours), listing(theirs))
  assert.equal(sha256(ours), sha256(theirs))
}

/** An archive becomes the plaintext of a sealed layer: gzip, encrypted, through both passes. */
async function toImage(archive: Uint8Array): Promise<Uint8Array> {
  const { blob, cipher } = encryptBlob(gzipSync(archive, { level: 1 }))
  const descriptor = { size: blob.length, digest: sha256(blob) }
  const storage = new MemoryFile()
  const source = pieces(blob, 65_536)
  const spooled = await spoolLayer({ source, descriptor, cipher, storage })
  const sink = new MemoryFile()
  const diffId = sha256(archive)
  const layer = await unpackLayer({ spooled, compression: 'gzip', diffId, sink })
  const tags = sink.bytes.slice(sealedLayout(layer.header).tagsOffset)
  const opened = openSealed({ ...layer, tags, fileLength: sink.bytes.length })
  return readSealed(opened, sink, 0, layer.header.imageLength)
}

function tar(directory: string, names: readonly string[]): Uint8Array {
  return execFileSync('tar', ['-C', directory, ...TAR, '-cf', '-', ...names], {
    maxBuffer: 2 ** 30,
    stdio: ['ignore', 'pipe', 'ignore'],
  })
}

function listing(archive: Uint8Array): string {
  return execFileSync('tar', ['-tvf', '-', '--xattrs', '--full-time'], {
    input: archive,
    encoding: 'utf8',
  })
}

function fsck(folder: string, image: Uint8Array): string {
  const file = join(folder, 'fsck.erofs')
  writeFileSync(file, image)
  // It exits 0 after a wrong checksum, so what it says counts.
  return spawnSync('fsck.erofs', [file], { encoding: 'utf8' }).stderr
}

function mountImage(
  folder: string,
  name: string,
  image: Uint8Array,
): Disposable & { path: string } {
  const file = join(folder, `${name}.erofs`)
  const path = join(folder, name)
  writeFileSync(file, image)
  mkdirSync(path)
  const flags = MOUNT_FLAGS.rdonly | MOUNT_FLAGS.nosuid | MOUNT_FLAGS.nodev
  linuxMounts.mount({ source: file, target: path, type: 'erofs', flags })
  return { path, [Symbol.dispose]: () => linuxMounts.unmount(path) }
}

function temporary(): Disposable & { path: string } {
  const path = mkdtempSync(join(tmpdir(), 'erofs-'))
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true }) }
}

function buildTree(top: string): void {
  const at = (name: string): string => join(top, name)
  mkdirSync(at('many/deep/er'), { recursive: true })
  for (const size of [0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 8193, 70_000, 1_000_003]) {
    writeFileSync(at(`size-${size}`), Buffer.alloc(size, `content of ${size};`))
  }
  for (let i = 0; i < 3000; i++) writeFileSync(at(`many/name-${'x'.repeat(i % 90)}-${i}`), `${i}`)
  writeFileSync(Buffer.concat([utf8(`${top}/`), Uint8Array.of(0xff, 0xfe, 0x0a)]), 'odd name')
  for (const name of ['!bang', '-dash', '..two', '.dot', 'ünï']) writeFileSync(at(name), name)
  linkSync(at('size-513'), at('many/deep/hard'))
  linkSync(at('size-513'), at('another'))
  symlinkSync('size-513', at('link'))
  symlinkSync('/absolute/'.repeat(300), at('long-link'))
  execFileSync('mkfifo', ['-m', '0622', at('pipe')])
  writeFileSync(at('sparse'), 'start')
  truncateSync(at('sparse'), 100_000)
  const attributes = [
    'import os, sys',
    'top = sys.argv[1]',
    'os.setxattr(top + "/size-1", "user.note", b"a\\0b\\n")',
    'os.setxattr(top + "/size-70000", "user.big", bytes(range(256)) * 14)',
    'os.setxattr(top + "/size-0", "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))',
    'os.setxattr(top + "/many", "user.empty", b"")',
    'os.chown(top + "/size-2".replace("2", "512"), 70000, 4294967294)',
    'os.chmod(top + "/size-4096", 0o6755)',
    'os.chmod(top + "/many/deep", 0o1777)',
    'os.utime(top + "/size-511", ns=(0, -1500000001))',
    'os.utime(top + "/size-512", ns=(0, 4294967297 * 10**9 + 5))',
  ]
  execFileSync('python3', ['-c', attributes.join('\n'), top])
  utimesSync(at('many'), 0, 1)
  assert.ok(existsSync(at('pipe')))
}
