import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { DISK_CASES, type DiskCase } from './disk-modes.ts'
import { hostileSetting, SCALE, SEED, type Setting } from './setting.ts'
import { dropCaches, meeting, type Reading } from './stack.ts'
import { type Row, tableOf } from './table.ts'

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? undefined : 'needs /dev/fuse'

describe('a disk that answers as it likes, under load', { skip: skip ?? false }, () => {
  let setting: Setting
  let at: string
  const rows: Row[] = []

  before(async () => {
    setting = await hostileSetting(200 * SCALE)
    // The disk holds both forms of both layers; its mount point hides the genuine spool from init.
    at = setting.spool
  })
  after(async () => {
    await setting[Symbol.asyncDispose]()
    console.log(tableOf(rows))
  })

  async function startDisk(): Promise<void> {
    const { spool, layers, stack } = setting
    const files = layers.flatMap(({ sealed, older, twin, olderTwin }, i) => [
      { name: sealed.file, path: join(spool, sealed.file), older: join(spool, older.file) },
      { name: `twin-${i}`, path: twin, older: olderTwin },
    ])
    await stack.order({ do: 'disk', at, files, seed: SEED })
  }

  async function underLoad(kind: 'sealed' | 'twin', disk: DiskCase): Promise<Reading> {
    const { stack, spool, layers } = setting
    const refused =
      kind === 'sealed'
        ? await stack.mount(spool, setting.handover())
        : await stack.mountTwin(layers.map((_, i) => join(at, `twin-${i}`)))
    assert.equal(refused, undefined)
    await stack.order({ do: 'diskMode', mode: disk.mode })
    const load = (seed: number): Promise<Reading> => {
      dropCaches()
      return stack.load(seed, SCALE)
    }
    const wanted = kind === 'sealed' ? disk.outcome === 'refused' : disk.answers === 'lies'
    const reading = await (wanted ? meeting(kind, load) : load(SEED))
    await stack.order({ do: 'diskMode', mode: 'honest' })
    if (kind === 'sealed') {
      dropCaches()
      const { refused: left, wrong } = await stack.read(SEED + 1)
      assert.deepEqual([left, wrong], [0, 0], 'genuine bytes are served again')
    }
    await stack.unmount()
    return reading
  }

  test('every answer gives right bytes or an error, and lies show in the plain twin', async () => {
    await startDisk()
    for (const disk of DISK_CASES) {
      const { mode, outcome, answers } = disk
      const sealed = await underLoad('sealed', disk)
      // Where no answer lies there is nothing for the twin to show.
      const twin = answers === 'lies' ? await underLoad('twin', disk) : undefined
      rows.push({ name: `disk: ${mode}`, sealed, ...(twin === undefined ? {} : { twin }) })
      assert.equal(sealed.wrong, 0, `${mode}: ${sealed.samples.join('; ')}`)
      if (outcome === 'right') assert.equal(sealed.refused, 0, mode)
      else assert.deepEqual(Object.keys(sealed.errors), ['EIO'], mode)
      assert.ok(twin === undefined || twin.wrong > 0, `${mode}: the detector sees nothing`)
    }
  })

  test('a disk that dies under load is an error for its readers, and everything unmounts', async () => {
    const { stack, spool } = setting
    assert.equal(await stack.mount(spool, setting.handover()), undefined)
    assert.equal((await stack.read(SEED)).refused, 0)
    dropCaches()
    const load = stack.load(SEED, 2)
    await stack.order({ do: 'killDisk' })
    const sealed = await load
    rows.push({ name: 'disk: dies', sealed })
    assert.equal(sealed.wrong, 0, sealed.samples.join('; '))
    assert.deepEqual(Object.keys(sealed.errors), ['EIO'])
    await stack.unmount()
  })
})

if (skip !== undefined) console.log(`skip: a disk that answers as it likes: ${skip}`)
