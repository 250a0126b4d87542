import assert from 'node:assert/strict'
import { closeSync, openSync } from 'node:fs'
import { after, before, describe, test } from 'node:test'
import { tryLockOpenFile } from '#platform/lock'
import { testFolder } from '../../support/init-harness.ts'
import { DATA_EDITS } from './cache-data-edits.ts'
import { CacheHost } from './cache-host.ts'
import { archiveOf } from './cache-layers.ts'
import { FORGERS, forgery, PAIR_EDITS, type PairEdit } from './cache-pair-edits.ts'
import { RACES } from './cache-races.ts'
import { Looks, look, lookUnchecked } from './cache-reader.ts'
import { RECORD_EDITS } from './cache-record-edits.ts'
import { interposed } from './interposed.ts'
import type { Reading } from './stack.ts'
import { type Row, tableOf } from './table.ts'

const skip = process.getuid?.() !== 0 ? 'needs root' : undefined
/** A lookup, init's opening and a reading ask the filesystem more often than this. */
const STEPS = 20

describe('a host that edits the layers that a node keeps', { skip: skip ?? false }, () => {
  const folder = testFolder()
  const rows: Row[] = []
  let host: CacheHost

  before(async () => {
    host = await CacheHost.fill(folder.path)
  })
  after(() => {
    folder[Symbol.dispose]()
    console.log(tableOf(rows))
  })

  /** All layers are found, whole, by the agent and by the reader that checks nothing. */
  async function healed(): Promise<void> {
    host.restore()
    for (const { layer } of [host.first, host.second, host.plain]) {
      assert.deepEqual(await look(host.directory, layer), { kind: 'right' }, layer.name)
      assert.deepEqual(await lookUnchecked(host.directory, layer), { kind: 'right' }, layer.name)
    }
  }

  async function atRest(edit: PairEdit): Promise<void> {
    const name = `cache: ${edit.name}`
    const [sealed, twin] = [new Looks(), new Looks()]
    const turns = typeof edit.turns === 'number' ? edit.turns : edit.turns(host)
    for (let turn = 0; turn < turns; turn++) {
      edit.edit(host, turn)
      assert.deepEqual(host.changed(), [...edit.changes(host)].sort(), `${name}: turn ${turn}`)
      for (const { layer } of edit.looked?.(host) ?? [host.first]) {
        sealed.add(await look(host.directory, layer))
        twin.add(await lookUnchecked(host.directory, layer))
      }
      host.restore()
    }
    await healed()
    const row = { name, sealed: sealed.result(), twin: twin.result() }
    rows.push(row)
    judge(row, edit)
  }

  function judge({ name, sealed, twin }: Judged, { outcome, twin: unchecked }: PairEdit): void {
    assert.equal(sealed.wrong, 0, `${name}: ${sealed.samples.join('; ')}`)
    if (outcome === 'right') assert.deepEqual([sealed.refused, twin.refused], [0, 0], name)
    else {
      assert.equal(sealed.right, 0, `${name}: it was a hit`)
      assert.deepEqual(Object.keys(sealed.errors), [outcome], name)
    }
    if (unchecked === 'lies') assert.ok(twin.wrong > 0, `${name}: the detector sees nothing`)
    else assert.equal(twin.wrong, 0, `${name}: ${twin.samples.join('; ')}`)
  }

  test('without an attack every layer is found, with all its bytes', async () => {
    await healed()
    const sealed = new Looks()
    for (const { layer } of [host.first, host.second, host.plain]) {
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

  test('whatever is done to a record is a miss', async () => {
    for (const edit of RECORD_EDITS) await atRest(edit)
  })

  test('whatever is done to the data is a miss, or an error of the reading', async () => {
    for (const edit of DATA_EDITS) await atRest(edit)
  })

  test('genuine records and data in another place or at another time are a miss, or the layer', async () => {
    for (const edit of PAIR_EDITS) await atRest(edit)
  })

  test('what others make for a layer is a miss', async () => {
    for (const forger of FORGERS) await atRest(await forgery(host, forger))
  })

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

  test('an attack between any two steps of a lookup gives the layer, a miss or an error', async () => {
    const { layer } = host.first
    for (const { name, edit, twin: unchecked, unseen } of RACES) {
      /** Before each step, to stay and for that step only; gives the number of steps. */
      const race = async (act: () => Promise<void>): Promise<number> => {
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
      const [sealed, twin] = [new Looks(), new Looks()]
      const steps = await race(async () => sealed.add(await look(host.directory, layer)))
      assert.ok(steps >= STEPS, `${name}: ${steps} steps are seen`)
      await race(async () => twin.add(await lookUnchecked(host.directory, layer)))
      await healed()
      const [seen, believed] = [sealed.result(), twin.result()]
      rows.push({ name: `cache, between steps: ${name}`, sealed: seen, twin: believed })
      assert.equal(seen.wrong, 0, `${name}: ${seen.samples.join('; ')}`)
      assert.ok(seen.right > 0, `${name}: too late is too late`)
      assert.equal(seen.refused > 0, unseen !== true, name)
      assert.equal(believed.wrong > 0, unchecked === 'lies', `${name}: the detector sees nothing`)
    }
  })
})

interface Judged {
  readonly name: string
  readonly sealed: Reading
  readonly twin: Reading
}

if (skip !== undefined) console.log(`skip: a host that edits the layers that a node keeps: ${skip}`)
