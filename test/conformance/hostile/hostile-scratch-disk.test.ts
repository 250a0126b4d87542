import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { SCRATCH_DISK_CASES, type ScratchDiskCase } from './scratch-disk-modes.ts'
import { hostileSetting, SCALE, SEED, type Setting } from './setting.ts'
import { dropCaches, meeting, type Reading, sum } from './stack.ts'
import { type Row, tableOf } from './table.ts'

const SIZE = 32 * 1024 * 1024
const FILES = 100 * SCALE

function missing(): string | undefined {
  if (process.getuid?.() !== 0) return 'needs root'
  for (const device of ['/dev/fuse', '/dev/loop-control']) {
    if (!existsSync(device)) return `needs ${device}`
  }
  return spawnSync('mke2fs', ['-V']).error === undefined ? undefined : 'needs mke2fs'
}

type Kind = 'sealed' | 'twin' | 'twin that syncs'
type Attack = (kind: Kind, disk: ScratchDiskCase) => Promise<Reading>

const skip = missing()

describe('a disk under the encrypted scratch that does as it likes', {
  skip: skip ?? false,
}, () => {
  let setting: Setting
  let at: string
  const rows: Row[] = []

  before(async () => {
    setting = await hostileSetting(50)
    at = join(setting.folder, 'written-disk')
    await setting.stack.order({ do: 'scratchDisk', at, size: SIZE, seed: SEED })
  })
  after(async () => {
    await setting[Symbol.asyncDispose]()
    console.log(tableOf(rows))
  })

  const task = { files: FILES, seed: SEED }
  const turn = (mode: ScratchDiskCase['mode'], fresh = false): Promise<unknown> =>
    setting.stack.order({ do: 'diskMode', mode, fresh })

  /** On an honest disk, with version 1 of every file. */
  async function mount(kind: Kind): Promise<void> {
    const { stack, spool } = setting
    await turn('honest', true)
    if (kind === 'sealed') {
      const scratch = { kind: 'disk', size: SIZE, disk: at } as const
      assert.equal(await stack.mount(spool, setting.handover(), scratch), undefined)
    } else {
      const barrier = kind === 'twin that syncs'
      const file = join(at, 'twin')
      await stack.order({ do: 'mountScratchTwin', file, size: SIZE, barrier })
    }
    const { right, refused, wrong } = await stack.work({ ...task, kind: 'write', version: 1 })
    assert.deepEqual([right, refused, wrong], [FILES, 0, 0])
  }

  /** Files are written twice more, and then all are read, while nothing else happens. */
  const idle: Attack = async (kind, { mode, lies }) => {
    const { stack } = setting
    await mount(kind)
    await turn(mode)
    for (const version of [2, 3]) {
      const writing = await stack.work({ ...task, kind: 'write', version })
      assert.equal(writing.wrong, 0, `${mode}: ${writing.samples.join('; ')}`)
    }
    // What it does to writes is done then; what it does to answers shows now.
    if (lies === 'writing') await turn('honest')
    // Not what ext4 knows of files: where that is damaged no byte of a file is shown at all.
    dropCaches('pages')
    const reading = await stack.work({ ...task, kind: 'check', version: 3 })
    await turn('honest')
    await stack.unmount()
    return reading
  }

  /** Files are written and read in turn, then all are read. */
  const underLoad: Attack = async (kind, { mode, lies }) => {
    const { stack } = setting
    await mount(kind)
    await turn(mode)
    let working = true
    const work = stack.work({ ...task, kind: 'mix', version: 1 }).finally(() => {
      working = false
    })
    for (let i = 0; working; i++) {
      dropCaches(i % 8 === 7 ? 'all' : 'pages')
      await Promise.race([work, delay(4)])
      // To be told its mode again is a loss of power for a disk that loses what was not synced.
      if (i % 2 === 1) await turn(mode)
    }
    await work
    await turn(lies === 'writing' ? 'honest' : mode)
    dropCaches('pages')
    const after = await stack.work({ ...task, kind: 'check', version: 1 })
    await turn('honest')
    await stack.unmount()
    return sum({ ...after, counts: [await work, after] })
  }

  async function rowOf(name: string, attack: Attack, disk: ScratchDiskCase): Promise<void> {
    const { outcome, lies } = disk
    const wanted = (kind: 'sealed' | 'twin'): Promise<Reading> =>
      (kind === 'sealed' ? outcome === 'refused' : true)
        ? meeting(kind, () => attack(kind, disk))
        : attack(kind, disk)
    const sealed = await wanted('sealed')
    // Where nothing lies there is nothing for the twin to show.
    const twin = lies === 'nowhere' ? undefined : await wanted('twin')
    rows.push({ name, sealed, ...(twin === undefined ? {} : { twin }) })
    assert.equal(sealed.wrong, 0, `${name}: ${sealed.samples.join('; ')}`)
    if (outcome === 'right') {
      assert.equal(sealed.refused, 0, name)
      assert.equal(sealed.alarm, undefined, `${name}: a false alarm`)
    } else assert.ok(sealed.refused > 0, `${name}: nobody met it`)
    if (lies !== 'nowhere') assert.match(sealed.alarm ?? '', /^scratch\/\d+$/, name)
    assert.ok(twin === undefined || twin.wrong > 0, `${name}: the detector sees nothing`)
  }

  test('what it does to reads and writes gives right bytes or an error, and shows in a plain ext4', async () => {
    for (const disk of SCRATCH_DISK_CASES) {
      await rowOf(`scratch disk, idle: ${disk.mode}`, idle, disk)
    }
  })

  test('the same while programs write and read', async () => {
    for (const disk of SCRATCH_DISK_CASES) {
      await rowOf(`scratch disk, load: ${disk.mode}`, underLoad, disk)
    }
  })

  test('a disk that loses what was not synced keeps what a plain ext4 had it sync', async () => {
    const mode = 'loses what was not synced'
    const reading = await idle('twin that syncs', { mode, outcome: 'refused', lies: 'writing' })
    rows.push({ name: `scratch disk: ${mode}, but it was`, sealed: 'none', twin: reading })
    assert.deepEqual([reading.right, reading.refused, reading.wrong], [FILES, 0, 0])
  })

  test('a disk that dies under load is an error, and everything unmounts', async () => {
    const { stack } = setting
    await mount('sealed')
    dropCaches()
    const work = stack.work({ ...task, kind: 'mix', version: 1 })
    await stack.order({ do: 'killDisk' })
    const sealed = await work
    rows.push({ name: 'scratch disk: dies', sealed })
    assert.equal(sealed.wrong, 0, sealed.samples.join('; '))
    assert.ok(sealed.refused > 0, 'nobody met it')
    await stack.unmount()
  })
})

if (skip !== undefined) console.log(`skip: a disk under the encrypted scratch: ${skip}`)
