import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  fstatSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import { hostileSetting, SCALE, SEED, type Setting } from './setting.ts'
import { dropCaches, meeting, type Reading } from './stack.ts'
import { type Row, tableOf } from './table.ts'

const SIZE = 32 * 1024 * 1024
const CHUNK = 4096
const FILES = 200 * SCALE

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const device of ['/dev/fuse', '/dev/loop-control']) {
    if (!existsSync(device)) return `needs ${device}`
  }
  return spawnSync('mke2fs', ['-V']).error === undefined ? undefined : 'needs mke2fs'
}

/** The file of a scratch in the hands of the host, with what it held at some earlier moment. */
class ScratchOnDisk implements Disposable {
  readonly #fd: number
  #older: Buffer = Buffer.alloc(0)

  constructor(path: string) {
    this.#fd = openSync(path, 'r+')
  }

  /** Remembers what the file holds now. */
  remember(): void {
    this.#older = this.all()
  }

  all(): Buffer {
    const bytes = Buffer.alloc(fstatSync(this.#fd).size)
    for (let at = 0; at < bytes.length; ) {
      const count = readSync(this.#fd, bytes, at, bytes.length - at, at)
      if (count === 0) break
      at += count
    }
    return bytes
  }

  /** Chunks that hold something else than at the earlier moment: data that was written again. */
  rewritten(): readonly number[] {
    const now = this.all()
    const chunks = Array.from({ length: now.length / CHUNK }, (_, i) => i)
    return chunks.filter(
      (i) =>
        !now.subarray(i * CHUNK, (i + 1) * CHUNK).equals(this.older(i)) && !isZero(this.older(i)),
    )
  }

  older(chunk: number): Buffer {
    return this.#older.subarray(chunk * CHUNK, (chunk + 1) * CHUNK)
  }

  now(chunk: number): Buffer {
    const bytes = Buffer.alloc(CHUNK)
    readSync(this.#fd, bytes, 0, CHUNK, chunk * CHUNK)
    return bytes
  }

  put(chunk: number, bytes: Uint8Array): void {
    writeSync(this.#fd, bytes, 0, CHUNK, chunk * CHUNK)
  }

  resize(length: number): void {
    ftruncateSync(this.#fd, length)
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd)
  }
}

function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

/** What the host does to some chunks that were written twice. */
const EDITS: Readonly<Record<string, (disk: ScratchOnDisk, chunks: readonly number[]) => void>> = {
  'a bit flipped in some chunks': (disk, chunks) => {
    for (const chunk of chunks) {
      const bytes = disk.now(chunk)
      bytes[1000] = (bytes[1000] ?? 0) ^ 1
      disk.put(chunk, bytes)
    }
  },
  'some chunks zeroed': (disk, chunks) => {
    for (const chunk of chunks) disk.put(chunk, new Uint8Array(CHUNK))
  },
  'some chunks as they were before': (disk, chunks) => {
    for (const chunk of chunks) disk.put(chunk, disk.older(chunk))
  },
  'pairs of chunks exchanged': (disk, chunks) => {
    for (let i = 0; i + 1 < chunks.length; i += 2) {
      const [a = 0, b = 0] = [chunks[i], chunks[i + 1]]
      const [first, second] = [disk.now(a), disk.now(b)]
      disk.put(a, second)
      disk.put(b, first)
    }
  },
  'everything as it was before: all later writes dropped': (disk) => {
    for (const chunk of disk.rewritten()) disk.put(chunk, disk.older(chunk))
  },
}

const skip = missing()

describe('a host that edits the encrypted scratch', { skip: skip ?? false }, () => {
  let setting: Setting
  const rows: Row[] = []

  before(async () => {
    setting = await hostileSetting(50)
  })
  after(async () => {
    await setting[Symbol.asyncDispose]()
    console.log(tableOf(rows))
  })

  async function mount(kind: 'sealed' | 'twin'): Promise<ScratchOnDisk> {
    const { stack, spool, folder } = setting
    if (kind === 'twin') {
      const file = join(folder, 'twin-scratch')
      await stack.order({ do: 'mountScratchTwin', file, size: SIZE, barrier: true })
      return new ScratchOnDisk(file)
    }
    const scratch = { kind: 'disk', size: SIZE } as const
    assert.equal(await stack.mount(spool, setting.handover(), scratch), undefined)
    return new ScratchOnDisk(scratchFile(stack.pid))
  }

  /** The file has no name; root of the node finds it among the descriptors of init. */
  function scratchFile(pid: number): string {
    const folder = `/proc/${pid}/fd`
    const found = readdirSync(folder).filter((name) => {
      try {
        return /^\/.*\(deleted\)$/.test(readlinkSync(join(folder, name)))
      } catch {
        return false
      }
    })
    assert.equal(found.length, 1, 'one file without a name')
    return join(folder, found[0] ?? '')
  }

  const task = { files: FILES, seed: SEED }
  const written = async (version: number): Promise<void> => {
    const reading = await setting.stack.work({ ...task, kind: 'write', version })
    assert.deepEqual([reading.right, reading.refused, reading.wrong], [FILES, 0, 0])
  }

  async function afterEdit(
    kind: 'sealed' | 'twin',
    edit: (disk: ScratchOnDisk, chunks: readonly number[]) => void,
  ): Promise<Reading> {
    using disk = await mount(kind)
    await written(1)
    disk.remember()
    await written(2)
    const random = randomOf(SEED)
    const chunks = disk.rewritten().filter(() => random(10) === 0)
    assert.ok(chunks.length > 20, 'there is something to edit')
    edit(disk, chunks)
    dropCaches()
    const reading = await setting.stack.work({ ...task, kind: 'check', version: 2 })
    await setting.stack.unmount()
    return reading
  }

  test('edits of chunks are errors, and the same edits of a plain ext4 show other or older bytes', async () => {
    for (const [name, edit] of Object.entries(EDITS)) {
      const sealed = await afterEdit('sealed', edit)
      const twin = await afterEdit('twin', edit)
      rows.push({ name: `scratch: ${name}`, sealed, twin })
      assert.equal(sealed.wrong, 0, `${name}: ${sealed.samples.join('; ')}`)
      assert.ok(sealed.refused > 0, `${name}: nobody met it`)
      assert.deepEqual(Object.keys(sealed.errors), ['EIO'], name)
      assert.match(sealed.alarm ?? '', /^scratch\/\d+$/, `${name}: an alarm says where`)
      assert.ok(twin.wrong > 0, `${name}: the detector sees nothing`)
    }
  })

  test('a file that is cut is an error, one that is longer is none', async () => {
    const cut = await afterEdit('sealed', (disk) => disk.resize(1 << 20))
    rows.push({ name: 'scratch: file cut', sealed: cut })
    assert.equal(cut.wrong, 0, cut.samples.join('; '))
    assert.ok(cut.refused > 0)
    const longer = await afterEdit('sealed', (disk) => disk.resize(SIZE * 2))
    rows.push({ name: 'scratch: file made longer', sealed: longer })
    assert.deepEqual([longer.right, longer.refused, longer.wrong], [FILES, 0, 0])
  })

  /** Files are written and read in turn while the host puts older chunks back. */
  async function underLoad(kind: 'sealed' | 'twin'): Promise<Reading> {
    using disk = await mount(kind)
    await written(1)
    disk.remember()
    await written(2)
    const chunks = disk.rewritten()
    const random = randomOf(SEED)
    let working = true
    const work = setting.stack.work({ ...task, kind: 'mix', version: 2 }).finally(() => {
      working = false
    })
    for (let i = 0; working; i++) {
      const chunk = chunks[random(chunks.length)] ?? 0
      disk.put(chunk, disk.older(chunk))
      if (i % 16 === 0) dropCaches()
      await new Promise((resolve) => setImmediate(resolve))
    }
    const reading = await work
    await setting.stack.unmount()
    return reading
  }

  test('edits while programs write and read are errors, never older or other bytes', async () => {
    const sealed = await meeting('sealed', () => underLoad('sealed'))
    const twin = await meeting('twin', () => underLoad('twin'))
    rows.push({ name: 'scratch: older chunks put back under load', sealed, twin })
    assert.equal(sealed.wrong, 0, sealed.samples.join('; '))
    assert.ok(sealed.refused > 0, 'nobody met it')
    assert.ok(twin.wrong > 0, 'the detector sees nothing')
  })

  test('a full disk of the node is an error for who writes, and never older bytes', async () => {
    const { stack, spool } = setting
    const scratch = { kind: 'disk', size: SIZE, disk: 3 * 1024 * 1024 } as const
    assert.equal(await stack.mount(spool, setting.handover(), scratch), undefined)
    const writing = await stack.work({ ...task, kind: 'write', version: 1 })
    assert.equal(writing.wrong, 0, writing.samples.join('; '))
    dropCaches()
    const reading = await stack.work({ ...task, kind: 'check', version: 1 })
    rows.push({ name: 'scratch: disk of the node full', sealed: reading })
    assert.equal(reading.wrong, 0, reading.samples.join('; '))
    assert.ok(reading.refused > 0, 'the disk is not full')
    await stack.unmount()
  })
})

if (skip !== undefined) console.log(`skip: a host that edits the encrypted scratch: ${skip}`)
