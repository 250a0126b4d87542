// A sealed root filesystem and its encrypted scratch against gocryptfs, the plain disk and memory, all with the
// same tree. The four take turns; before a cold row the kernel's caches are dropped. Ours is the real stack:
// layer pipeline, init, FUSE, EROFS, ext4 on a loop device, overlay. The same programs of the machine work on
// all four: fio, find, cat, tar, rm, and by chroot those of the tree itself.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type { Bench, BenchOptions } from './bench.ts'
import { type Row, row } from './document.ts'
import { type Contender, gocryptfs, plain, sealedRoot, tmpfs } from './rootfs/contenders.ts'
import type { Measure } from './rootfs/measure.ts'
import { READS, refreshIndex } from './rootfs/reads.ts'
import { treeArchive } from './rootfs/tree.ts'
import { packSmallFiles, writes } from './rootfs/writes.ts'

const FOLDER = join(import.meta.dirname, '../../.bootstrap/bench')
/** The one that the goals are against. */
const PEER = 'gocryptfs'

export const bench: Bench = { peers: ['gocryptfs', 'fio'], run }

async function run({ runs, note, signal }: BenchOptions): Promise<readonly Row[]> {
  mkdirSync(FOLDER, { recursive: true })
  const tree = await treeArchive(FOLDER, note)
  await using stack = new AsyncDisposableStack()
  // On the disk of this checkout: a temporary folder may be memory.
  const folder = mkdtempSync(join(FOLDER, 'rootfs-'))
  stack.defer(() => rmSync(folder, { recursive: true, force: true }))
  note('seal and mount the tree, unpack it for the peers')
  const contenders: Contender[] = []
  for (const open of [sealedRoot, gocryptfs, plain, tmpfs]) {
    signal.throwIfAborted()
    contenders.push(stack.use(await open(folder, tree)))
  }
  for (const { root } of contenders) await refreshIndex(root)
  const last = contenders.at(-1)?.root ?? ''
  const measures = [...READS, ...writes(packSmallFiles(last, folder))]

  const samples = new Samples()
  for (let i = 0; i < runs; i++) {
    for (const measure of measures) {
      note(`run ${i + 1} of ${runs}: ${measure.rows[0]?.name}`)
      // Another one begins in each run.
      for (const at of contenders.keys()) {
        signal.throwIfAborted()
        const contender = contenders[(at + i) % contenders.length] as Contender
        samples.add(measure, contender.name, await measure.run(contender.root))
      }
    }
  }
  const peers = contenders.map(({ name }) => name).filter((name) => name !== 'ours')
  return peers.flatMap((peer) => measures.flatMap((measure) => samples.rows(measure, peer)))
}

class Samples {
  readonly #values = new Map<string, number[]>()

  add(measure: Measure, contender: string, values: readonly number[]): void {
    measure.rows.forEach(({ name }, i) => {
      const key = `${contender}: ${name}`
      this.#values.set(key, [...(this.#values.get(key) ?? []), values[i] ?? Number.NaN])
    })
  }

  rows(measure: Measure, peer: string): Row[] {
    const of = (contender: string, name: string): readonly number[] =>
      this.#values.get(`${contender}: ${name}`) ?? []
    // Memory is never cold.
    const rows = measure.rows.filter(({ name }) => peer !== 'tmpfs' || !name.startsWith('cold'))
    return rows.map(({ note, ...frame }) => {
      const isPeer = peer === PEER
      const goal = isPeer ? frame.goal : null
      const said = isPeer && note !== undefined ? { note } : {}
      const name = `${frame.name}, ${peer}`
      const side = { name: peer, samples: of(peer, frame.name) }
      return row({ ...frame, ...said, name, goal }, of('ours', frame.name), side)
    })
  }
}
