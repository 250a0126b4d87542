import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { DiskMode } from './disk-entry.ts'
import { hostileSetting, SCALE, SEED, type Setting } from './setting.ts'
import { dropCaches, meeting, type Reading } from './stack.ts'
import { type Row, tableOf } from './table.ts'

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? undefined : 'needs /dev/fuse'

/** What the disk does, and whether its answers hold other bytes: an unauthenticated reader sees them. */
const MODES: readonly (readonly [DiskMode, 'right' | 'refused', 'harmless' | 'lies'])[] = [
  ['honest', 'right', 'harmless'],
  ['delays', 'right', 'harmless'],
  ['answers in reverse order', 'right', 'harmless'],
  // the reader asks again for what is missing
  ['answers short', 'right', 'harmless'],
  ['fails at random', 'refused', 'harmless'],
  ['ends every file early', 'refused', 'harmless'],
  ['exchanges two answers', 'refused', 'lies'],
  ['answers with the bytes of the last read', 'refused', 'lies'],
  ['answers with the next chunk', 'refused', 'lies'],
  ['answers with the older file', 'refused', 'lies'],
  ['changes a byte every other time', 'refused', 'lies'],
  ['answers with noise', 'refused', 'lies'],
]

describe('a disk that answers as it likes, under load', { skip: skip ?? false }, () => {
  let setting: Setting
  let at: string
  const rows: Row[] = []

  before(async () => {
    setting = await hostileSetting(800 * SCALE)
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

  async function underLoad(kind: 'sealed' | 'twin', mode: DiskMode): Promise<Reading> {
    const { stack, spool, layers } = setting
    const refused =
      kind === 'sealed'
        ? await stack.mount(spool, setting.handover())
        : await stack.mountTwin(layers.map((_, i) => join(at, `twin-${i}`)))
    assert.equal(refused, undefined)
    await stack.order({ do: 'diskMode', mode })
    const load = (seed: number): Promise<Reading> => {
      dropCaches()
      return stack.load(seed, SCALE)
    }
    const [, outcome, kindOfAnswer] = MODES.find(([name]) => name === mode) ?? []
    const wanted = kind === 'sealed' ? outcome === 'refused' : kindOfAnswer === 'lies'
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
    for (const [mode, outcome, answers] of MODES) {
      const sealed = await underLoad('sealed', mode)
      // Where no answer lies there is nothing for the twin to show.
      const twin = answers === 'lies' ? await underLoad('twin', mode) : undefined
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
