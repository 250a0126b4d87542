import assert from 'node:assert/strict'
import { execFileSync, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  createWriteStream,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { createGzip } from 'node:zlib'
import { fromHex } from '#lib/bytes'
import { memorySource, readErofs } from '#lib/erofs'
import { MEDIA_TYPES } from '#lib/oci'
import { openSealed, parseHeader, readSealed, sealedLayout } from '#lib/sealed'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import {
  contentOf,
  entryArchive,
  type PlannedEntry,
  plannedEntries,
} from '../support/entry-archive.ts'

const MIB = 2 ** 20
/** Half of them lie in one directory. */
const MANY = 240_000
const FEW = 60_000
const ENTRY = join(import.meta.dirname, '../support/unpack-entry.ts')
/** As the agent is started: src/host/bundle/build.ts. */
const FLAGS = [
  '--max-semi-space-size=2',
  '--v8-pool-size=1',
  '--disable-warning=ExperimentalWarning',
]

interface Unpacked {
  readonly key: string
  readonly root: string
  readonly header: string
  readonly file: string
  readonly peakBytes: number
  readonly cpuSeconds: number
}

const folder = mkdtempSync(join(tmpdir(), 'erofs-entries-'))
after(() => rmSync(folder, { recursive: true, force: true }))

test('240,000 entries, 120,000 of them in one directory, fit the agent, the kernel and the tools', async (t) => {
  const few = await unpack(FEW)
  const many = await unpack(MANY)
  const found = JSON.stringify(
    [few, many].map(({ peakBytes, cpuSeconds }) => ({ peakBytes, cpuSeconds })),
  )
  t.diagnostic(found)
  assert.ok(many.peakBytes > 40 * MIB && many.peakBytes < 200 * MIB, found)
  // Four times as many; a quadratic step would show as sixteen. The counts stand in the unit test.
  assert.ok(many.cpuSeconds < 8 * few.cpuSeconds + 1, found)

  const image = await plaintext(many)
  const file = join(folder, 'image.erofs')
  writeFileSync(file, image)
  // It exits 0 after a wrong checksum, so what it says counts.
  const fsck = spawnSync('fsck.erofs', [file], { encoding: 'utf8' })
  assert.deepEqual([fsck.status, fsck.stderr], [0, ''])

  const target = join(folder, 'mounted')
  mkdirSync(target)
  const flags = MOUNT_FLAGS.rdonly | MOUNT_FLAGS.nosuid | MOUNT_FLAGS.nodev
  linuxMounts.mount({ source: file, target, type: 'erofs', flags })
  try {
    const format = '%P %y %m %U %s %n %T@ %l\\n'
    const listing = execFileSync('find', [target, '-mindepth', '1', '-printf', format], {
      encoding: 'utf8',
      maxBuffer: 2 ** 30,
    })
    const seen = listing.replace(/\n$/, '').split('\n').map(withoutDirectorySize).sort()
    const expected = [...plannedEntries(MANY)].map(line).sort()
    assert.ok(expected.length > MANY)
    assert.deepEqual(firstDifference(seen, expected), undefined)
    let compared = 0
    for (const entry of plannedEntries(MANY)) {
      if (entry.type !== 'f' || compared++ % 97 !== 0) continue
      const bytes = readFileSync(join(target, entry.path))
      if (entry.links === 1) assert.ok(bytes.equals(contentOf(entry)), entry.path)
      else assert.equal(bytes.length, entry.size, entry.path)
    }
    assert.ok(compared > MANY / 2)
  } finally {
    linuxMounts.unmount(target)
  }

  // The strict reader walks all of it and proves links, runs and order.
  let walked = 0
  for (const _entry of readErofs(memorySource(image))) walked++
  assert.equal(walked, [...plannedEntries(MANY)].length + 1)
})

async function unpack(count: number): Promise<Unpacked> {
  const blob = join(folder, `${count}.tar.gz`)
  const plain = createHash('sha256')
  const packed = createHash('sha256')
  const gzip = createGzip({ level: 1 })
  const out = createWriteStream(blob)
  gzip.on('data', (piece: Uint8Array) => packed.update(piece))
  gzip.pipe(out)
  for (const piece of entryArchive(count)) {
    plain.update(piece)
    if (!gzip.write(piece)) await once(gzip, 'drain')
  }
  gzip.end()
  await once(out, 'close')
  const spool = join(folder, `spool-${count}`)
  mkdirSync(spool)
  const names = [`sha256:${packed.digest('hex')}`, `sha256:${plain.digest('hex')}`]
  const { size } = statSync(blob)
  const args = [...FLAGS, ENTRY, blob, spool, MEDIA_TYPES.ociLayerGzip, `${size}`, ...names]
  const run = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 200_000 })
  assert.equal(run.status, 0, run.stderr)
  rmSync(blob)
  return JSON.parse(run.stdout) as Unpacked
}

async function plaintext({ key, root, header, file }: Unpacked): Promise<Uint8Array> {
  const bytes = readFileSync(join(folder, `spool-${MANY}`, file))
  const encodedHeader = fromHex(header, 'header')
  const parsed = parseHeader(encodedHeader)
  const opened = openSealed({
    ...{ encodedHeader, key: fromHex(key, 'key'), root: fromHex(root, 'root') },
    tags: bytes.subarray(sealedLayout(parsed).tagsOffset),
    fileLength: bytes.length,
  })
  const read = (offset: number, length: number) => bytes.subarray(offset, offset + length)
  return readSealed(opened, { read }, 0, parsed.imageLength)
}

function line(entry: PlannedEntry): string {
  const { path, type, mode, uid, size, links, mtime, target } = entry
  const shown = type === 'd' ? '-' : size
  return `${path} ${type} ${mode.toString(8)} ${uid} ${shown} ${links} ${mtime}.0000000000 ${target}`
}

function withoutDirectorySize(text: string): string {
  return text.replace(/^(\S+ d \S+ \S+) \d+ /, '$1 - ')
}

function firstDifference(seen: readonly string[], expected: readonly string[]): unknown {
  const at = expected.findIndex((text, i) => text !== seen[i])
  if (at < 0 && seen.length === expected.length) return undefined
  return {
    seen: seen.slice(at, at + 3),
    expected: expected.slice(at, at + 3),
    lines: [seen.length, expected.length],
  }
}
