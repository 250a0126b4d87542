import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { tryLockOpenFile } from '#platform/lock'
import { testFolder } from '../../support/init-harness.ts'
import { DATA_EDITS } from './cache-data-edits.ts'
import { CacheHost } from './cache-host.ts'
import { archiveOf } from './cache-layers.ts'
import { FORGERS, forgery, PAIR_EDITS, type PairEdit } from './cache-pair-edits.ts'
import { type CacheRace, RACES } from './cache-races.ts'
import { Looks, look, lookUnchecked } from './cache-reader.ts'
import { RECORD_EDITS } from './cache-record-edits.ts'
import { interposed } from './interposed.ts'
import { type Row, tableOf } from './table.ts'

const skip = process.getuid?.() !== 0 ? 'needs root' : undefined
/** A lookup, init's opening and a reading ask the filesystem more often than this. */
const STEPS = 15
const OUTCOMES = { right: 'the layer', miss: 'a miss', EIO: 'an error of the reading' } as const

describe('a host that edits the layers that a node keeps', { skip: skip ?? false }, () => {
  const rows: Row[] = []
  let folder: ReturnType<typeof testFolder>
  let host: CacheHost

  before(async () => {
    folder = testFolder()
    host = await CacheHost.fill(folder.path)
  })
  after(() => {
    folder[Symbol.dispose]()
    console.log(tableOf(rows))
  })

  /** All layers are found, whole, by the agent and by the reader that checks nothing. */
  async function healed(): Promise<void> {
    host.restore()
    for (const layer of host.layers) {
      assert.deepEqual(await look(host.directory, layer), { kind: 'right' }, layer.name)
      assert.deepEqual(await lookUnchecked(host.directory, layer), { kind: 'right' }, layer.name)
    }
  }

  async function atRest(edit: PairEdit): Promise<void> {
    const [sealed, twin] = [new Looks(), new Looks()]
    const turns = typeof edit.turns === 'number' ? edit.turns : edit.turns(host)
    try {
      for (let turn = 0; turn < turns; turn++) {
        edit.edit(host, turn)
        assert.deepEqual(host.changed(), [...edit.changes(host)].sort(), `turn ${turn}`)
        for (const { layer } of edit.looked?.(host) ?? [host.first]) {
          sealed.add(await look(host.directory, layer))
          twin.add(await lookUnchecked(host.directory, layer))
        }
        host.restore()
      }
    } finally {
      await healed()
    }
    const [seen, believed] = [sealed.result(), twin.result()]
    rows.push({ name: `cache: ${edit.name}`, sealed: seen, twin: believed })
    assert.equal(seen.wrong, 0, seen.samples.join('; '))
    if (edit.outcome === 'right') assert.deepEqual([seen.refused, believed.refused], [0, 0])
    else {
      assert.equal(seen.right, 0, 'it was a hit')
      assert.deepEqual(Object.keys(seen.errors), [edit.outcome])
    }
    if (edit.twin === 'lies') assert.ok(believed.wrong > 0, 'the detector sees nothing')
    else assert.equal(believed.wrong, 0, believed.samples.join('; '))
  }

  test('without an attack every layer is found, with all its bytes', async () => {
    await healed()
    const sealed = new Looks()
    for (const layer of host.layers) {
      sealed.add(await look(host.directory, layer))
    }
    rows.push({ name: 'cache: nothing', sealed: sealed.result() })
  })

  test('other bytes of a layer are noticed where the lookup itself lets them through', async () => {
    // Nobody but the agent has all keys; so this is no attack, but what the suite must be able to see.
    const { layer, record } = host.first
    const forged = await host.forged(layer, archiveOf('evil'))
    host.put(record, forged.recordBytes)
    host.put(forged.data, forged.dataBytes)
    const seen = await look(host.directory, layer)
    host.restore()
    assert.deepEqual(seen, { kind: 'wrong', found: 'first: other bytes' })
  })

  for (const edit of [...RECORD_EDITS, ...DATA_EDITS, ...PAIR_EDITS]) {
    test(`${edit.name}: ${OUTCOMES[edit.outcome]}`, async () => await atRest(edit))
  }

  for (const forger of FORGERS) {
    test(`record and data made by ${forger.name}: a miss`, async () => {
      await atRest(await forgery(host, forger))
    })
  }

  test('data that the host holds for itself is a miss', async () => {
    const path = host.path(host.first.data)
    const fd = openSync(path, 'r')
    const sealed = new Looks()
    try {
      assert.ok(tryLockOpenFile(fd, path, 'exclusive'))
      sealed.add(await look(host.directory, host.first.layer))
    } finally {
      closeSync(fd)
    }
    rows.push({ name: 'cache: its data: held by the host', sealed: sealed.result() })
    assert.deepEqual(sealed.result().errors, { miss: 1 })
    await healed()
  })

  /** Makes an attack before each step, to stay and for that step only; gives the number of steps. */
  async function race({ edit }: CacheRace, act: () => Promise<void>): Promise<number> {
    const steps = await interposed(() => {}, act)
    for (const stays of [true, false]) {
      for (let at = 0; at < steps; at++) {
        await interposed((step) => {
          if (step === at) edit(host)
          else if (step === at + 1 && !stays) host.restore()
        }, act)
        host.restore()
      }
    }
    return steps
  }

  for (const attack of RACES) {
    test(`${attack.name}, before each step of a lookup: ${attack.codes.join(', ')}`, async () => {
      const { layer } = host.first
      const [sealed, twin] = [new Looks(), new Looks()]
      try {
        const steps = await race(attack, async () => sealed.add(await look(host.directory, layer)))
        assert.ok(steps >= STEPS, `${steps} steps are seen`)
        await race(attack, async () => twin.add(await lookUnchecked(host.directory, layer)))
      } finally {
        await healed()
      }
      const [seen, believed] = [sealed.result(), twin.result()]
      rows.push({ name: `cache, between steps: ${attack.name}`, sealed: seen, twin: believed })
      assert.equal(seen.wrong, 0, seen.samples.join('; '))
      assert.ok(seen.right > 0, 'too late is too late')
      assert.deepEqual(Object.keys(seen.errors).sort(), [...attack.codes].sort())
      assert.equal(believed.wrong > 0, attack.twin === 'lies', 'what the detector sees')
    })
  }
})

if (skip !== undefined) console.log(`skip: a host that edits the layers that a node keeps: ${skip}`)
