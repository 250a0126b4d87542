import assert from 'node:assert/strict'
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { testFolder } from '../../support/init-harness.ts'
import { BUSY_EDITS, BusyCache, type BusyEdit, type Undo } from './busy-cache.ts'
import { type BothCounts, CacheAgents, sumOf } from './cache-agents.ts'
import { chance } from './cache-edit.ts'
import { CacheHost } from './cache-host.ts'
import { type CacheLayer, cacheLayers, keep } from './cache-layers.ts'
import { DISK_CASES, type DiskCase } from './disk-modes.ts'
import { SCALE, SEED } from './setting.ts'
import { type Row, tableOf } from './table.ts'

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? undefined : 'needs /dev/fuse'

const LOOKS = 40 * SCALE
/** So often at least an attack is made. */
const ATTACKS = 10
/** An attack stays for up to so long, and as long nothing is attacked: about as long as a lookup takes. */
const PACE_MS = 6

describe('a host that edits the cache under load', { skip: skip ?? false }, () => {
  const rows: Row[] = []
  let folder: ReturnType<typeof testFolder>
  before(() => {
    folder = testFolder()
  })
  after(() => {
    folder[Symbol.dispose]()
    console.log(tableOf(rows))
  })

  /** Again until it was met: somebody missed, somebody had a hit, and the reader without checks was fooled. */
  async function meeting(
    wanted: (both: BothCounts) => boolean,
    load: (seed: number) => Promise<BothCounts>,
  ): Promise<BothCounts> {
    let total = await load(SEED)
    for (let attempt = 1; attempt < 10 && !wanted(total); attempt++) {
      const next = await load(SEED + 100_000 * attempt)
      total = {
        sealed: sumOf([total.sealed, next.sealed]),
        twin: sumOf([total.twin, next.twin]),
      }
    }
    return total
  }

  describe('while agents look for layers, seal what they miss, and read', () => {
    let agents: CacheAgents
    let cache: BusyCache
    let layers: readonly CacheLayer[]

    before(async () => {
      layers = await cacheLayers()
      mkdirSync(join(folder.path, 'layers'))
      cache = new BusyCache(folder.path)
      agents = new CacheAgents(2)
    })
    after(async () => await agents[Symbol.asyncDispose]())

    let made = 0

    async function underLoad(seed: number, attack?: BusyEdit): Promise<BothCounts> {
      let working = true
      const looking = agents
        .look({ directory: cache.directory, seed, looks: LOOKS, keeps: true })
        .finally(() => {
          working = false
        })
      while (working) {
        const undo = attack === undefined ? undefined : attempt(() => once(attack))
        await pause(chance(PACE_MS))
        if (undo !== undefined) {
          made += 1
          attempt(undo)
        }
        await pause(chance(PACE_MS))
      }
      return await looking
    }

    /** Every layer lies there: whatever is missed then, the attack made it so. */
    async function fresh(): Promise<void> {
      cache.clear()
      for (const layer of layers) await keep(cache.directory, layer, layer.archive)
    }

    function once({ edit }: BusyEdit): Undo | undefined {
      const [record, data] = [cache.pick('record'), cache.pick('data')]
      return record === undefined || data === undefined ? undefined : edit(cache, record, data)
    }

    test('without an attack all hits are right, also for a reader that checks nothing', async () => {
      const { sealed, twin } = await meeting(
        ({ sealed: { right } }) => right > 0,
        (seed) => underLoad(seed),
      )
      rows.push({ name: 'cache under load: nothing', sealed, twin })
      assert.deepEqual([sealed.wrong, twin.wrong], [0, 0])
      assert.ok(sealed.right > sealed.refused, 'most looks find what somebody sealed')
      assert.ok(sealed.refused > 0, 'somebody sealed it')
    })

    for (const attack of BUSY_EDITS) {
      test(`${attack.name}: the layer, a miss or an error`, async () => {
        await fresh()
        made = 0
        const met = ({ sealed: { errors } }: BothCounts): number =>
          errors[attack.codes[0] ?? ''] ?? 0
        const { sealed, twin } = await meeting(
          (both) =>
            made >= ATTACKS &&
            both.sealed.right > 0 &&
            met(both) > 0 &&
            (attack.twin === 'harmless' || both.twin.wrong > 0),
          (seed) => underLoad(seed, attack),
        )
        rows.push({ name: `cache under load: ${attack.name}`, sealed, twin })
        assert.equal(sealed.wrong, 0, sealed.samples.join('; '))
        const allowed: readonly string[] = attack.codes
        const others = Object.keys(sealed.errors).filter((code) => !allowed.includes(code))
        assert.deepEqual(others, [], 'what may come of it')
        assert.ok(made >= ATTACKS, `only ${made} attacks`)
        assert.ok(sealed.right > 0 && met({ sealed, twin }) > 0, 'nobody met it')
        assert.equal(twin.wrong > 0, attack.twin === 'lies', twin.samples.join('; '))
      })
    }
  })

  describe('on a disk that answers as it likes', () => {
    let agents: CacheAgents
    let host: CacheHost
    let at: string

    before(async () => {
      const own = join(folder.path, 'disk')
      mkdirSync(own)
      host = await CacheHost.fill(own)
      const { first, older, second, plain, otherPlain } = host
      const others: readonly (readonly [string, string])[] = [
        [first.data, older.data],
        [older.data, first.data],
        [second.data, first.data],
        [plain.data, second.data],
        [otherPlain.data, plain.data],
        [first.record, second.record],
        [second.record, plain.record],
        [plain.record, first.record],
        [otherPlain.record, plain.record],
      ]
      const files = others.map(([name, other]) => ({
        ...{ name, path: host.path(name), older: host.path(other) },
      }))
      at = join(own, 'mounted')
      mkdirSync(at)
      agents = new CacheAgents(1)
      await agents.order({ do: 'disk', at, files, seed: SEED })
    })
    after(async () => await agents[Symbol.asyncDispose]())

    const looked = (seed: number): Promise<BothCounts> =>
      agents.look({ directory: at, seed, looks: LOOKS / 2, keeps: false })

    async function onDisk({ mode, outcome, answers }: DiskCase): Promise<BothCounts> {
      await agents.order({ do: 'diskMode', mode })
      const both = await meeting(
        ({ sealed, twin }) =>
          (outcome === 'right' || sealed.refused > 0) && (answers === 'harmless' || twin.wrong > 0),
        looked,
      )
      await agents.order({ do: 'diskMode', mode: 'honest' })
      const { sealed, twin } = await looked(SEED + 1)
      assert.deepEqual([sealed.refused, twin.refused, twin.wrong], [0, 0, 0], 'found again')
      return both
    }

    for (const disk of DISK_CASES) {
      test(`${disk.mode}: the layer, a miss or an error`, async () => {
        const { sealed, twin } = await onDisk(disk)
        rows.push({ name: `cache on a disk: ${disk.mode}`, sealed, twin })
        assert.equal(sealed.wrong, 0, sealed.samples.join('; '))
        assert.equal(sealed.refused > 0, disk.outcome === 'refused')
        assert.equal(twin.wrong > 0, disk.answers === 'lies', twin.samples.join('; '))
      })
    }
  })
})

/** Whatever is attacked may be gone by then: an agent put another in its place. */
function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch (error) {
    if ((error as { code?: string }).code !== 'ENOENT') throw error
    return undefined
  }
}

if (skip !== undefined) console.log(`skip: a host that edits the cache under load: ${skip}`)
