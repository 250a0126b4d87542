import assert from 'node:assert/strict'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'
import { busyboxBinary } from '../../support/busybox-image.ts'
import {
  CHUNK_EDITS,
  CUTS,
  type Edit,
  IGNORED_EDITS,
  LOAD_EDITS,
  type Outcome,
  REFUSED_EDITS,
} from './edits.ts'
import { hostileSetting, PROGRAM, SCALE, SEED, type Setting } from './setting.ts'
import { dropCaches, meeting, type Reading } from './stack.ts'
import { type Row, tableOf } from './table.ts'
import type { Victim } from './victim.ts'

const skip =
  process.getuid?.() !== 0 ? 'needs root' : existsSync('/dev/fuse') ? undefined : 'needs /dev/fuse'

const EDITS_AT_ONCE = 8
const DROP_MS = 40

describe('a host that edits the files of a running root filesystem', {
  skip: skip ?? false,
}, () => {
  let setting: Setting
  const rows: Row[] = []

  before(async () => {
    setting = await hostileSetting()
  })
  after(async () => {
    await setting[Symbol.asyncDispose]()
    console.log(tableOf(rows))
  })

  /** Opens what is edited, and puts it back at the end. */
  async function edited(
    kind: 'sealed' | 'twin',
    body: (victim: Victim, older: Victim) => Promise<Reading | string>,
  ): Promise<Reading | string> {
    const open = kind === 'sealed' ? setting.sealedVictim : setting.twinVictim
    const [victim, older] = [open(0), open(0, true)]
    assert.equal(victim.length, older.length, 'an older version of the same shape')
    try {
      return await body(victim, older)
    } finally {
      victim.restore()
    }
  }

  async function mount(kind: 'sealed' | 'twin'): Promise<string | undefined> {
    const { stack, spool, layers } = setting
    return kind === 'sealed'
      ? stack.mount(spool, setting.handover())
      : stack.mountTwin(layers.map(({ twin }) => twin))
  }

  /** Edits, then mounts, then reads everything. */
  async function atRest(kind: 'sealed' | 'twin', edit: Edit): Promise<Reading | string> {
    return edited(kind, async (victim, older) => {
      edit(victim, older)
      const refused = await mount(kind)
      if (refused !== undefined) return refused
      const reading = await setting.stack.read(SEED)
      await setting.stack.unmount()
      return reading
    })
  }

  /** Edits what is mounted, reads everything, and puts it back. */
  async function whileIdle(edit: Edit): Promise<Reading> {
    const [victim, older] = [setting.sealedVictim(0), setting.sealedVictim(0, true)]
    try {
      edit(victim, older)
      dropCaches()
      return await setting.stack.read(SEED)
    } finally {
      victim.restore()
    }
  }

  /** Whatever was refused before: what is genuine again is served again. */
  async function healed(): Promise<void> {
    dropCaches()
    const { refused, wrong, samples } = await setting.stack.read(SEED + 1)
    assert.deepEqual([refused, wrong], [0, 0], samples.join('; '))
  }

  /**
   * Two programs read while the host edits and restores as fast as it can; again until somebody met it.
   */
  async function underLoad(
    kind: 'sealed' | 'twin',
    edit: (v: Victim, o: Victim, chunk: number) => void,
  ): Promise<Reading | string> {
    return edited(kind, async (victim, older) => {
      assert.equal(await mount(kind), undefined)
      const random = randomOf(SEED)
      const reading = await meeting(kind, async (seed) => {
        let loading = true
        const load = setting.stack.load(seed, SCALE).finally(() => {
          loading = false
        })
        let dropped = 0
        while (loading) {
          for (let i = 0; i < EDITS_AT_ONCE; i++) {
            edit(victim, older, 1 + random(victim.layout.chunks - 2))
          }
          // nothing would be read again that was read before
          if (performance.now() - dropped > DROP_MS) {
            dropCaches()
            dropped = performance.now()
          }
          await new Promise((resolve) => setImmediate(resolve))
          victim.restore()
        }
        return load
      })
      if (kind === 'sealed') await healed()
      await setting.stack.unmount()
      return reading
    })
  }

  function judge(name: string, sealed: Reading | string, outcome: Outcome): void {
    if (typeof sealed === 'string') {
      assert.ok(outcome instanceof RegExp && outcome.test(sealed), `${name}: ${sealed}`)
      return
    }
    assert.equal(sealed.wrong, 0, `${name}: ${sealed.samples.join('; ')}`)
    assert.ok(!(outcome instanceof RegExp), `${name}: was mounted`)
    const refusals = Object.keys(sealed.errors)
    if (outcome === 'right') assert.equal(sealed.refused, 0, name)
    else {
      assert.ok(sealed.refused > 0, `${name}: nobody met it`)
      assert.deepEqual(refusals, ['EIO'], name)
      assert.match(sealed.alarm ?? '', /^l0\/\d+$/, `${name}: an alarm says where`)
    }
    if (outcome === 'some')
      assert.ok(sealed.refused < sealed.right / 2, `${name}: most is readable`)
  }

  test('without an attack every path of sealed layers and twin is right', async () => {
    for (const kind of ['sealed', 'twin'] as const) {
      const reading = await atRest(kind, () => {})
      assert.ok(typeof reading === 'object')
      assert.deepEqual([reading.refused, reading.wrong], [0, 0], reading.samples.join('; '))
      assert.ok(reading.right > 400, 'hundreds of paths')
      assert.equal(reading.alarm, undefined)
    }
  })

  test('edits at rest are refused, and the same edits of a plain image show other bytes', async () => {
    for (const [name, edit, outcome] of CHUNK_EDITS) {
      const sealed = await atRest('sealed', edit)
      const twin = await atRest('twin', edit)
      rows.push({ name: `at rest: ${name}`, sealed, twin })
      judge(name, sealed, outcome)
      assert.ok(typeof twin === 'string' || twin.wrong > 0, `${name}: the detector sees nothing`)
    }
  })

  test('edits of superblock, header, tags and length are refused before anything is read', async () => {
    for (const [name, edit, code] of REFUSED_EDITS) {
      const sealed = await atRest('sealed', edit)
      rows.push({ name: `at rest: ${name}`, sealed })
      judge(name, sealed, code)
    }
    for (let offset = 0; offset < 72; offset++) {
      const sealed = await atRest('sealed', (v) => v.flip(offset, offset % 8))
      judge(`header byte ${offset}`, sealed, /^SEALED_MISMATCH$/)
      if (offset === 71) rows.push({ name: 'at rest: each of the 72 bytes of a header', sealed })
    }
  })

  test('a layer in the place of another, and things that are no file, are refused', async () => {
    const { spool, stack, layers } = setting
    const [base = '', top = ''] = layers.map(({ sealed }) => join(spool, sealed.file))
    const replaced: Record<string, () => void> = {
      'both layers exchanged': () => copyFileSync(top, base),
      'a symbolic link to the genuine file': () => symlinkSync(`${base}.kept`, base),
      'a directory': () => mkdirSync(base),
      nothing: () => {},
    }
    for (const [name, replace] of Object.entries(replaced)) {
      renameSync(base, `${base}.kept`)
      try {
        replace()
        const sealed = (await stack.mount(spool, setting.handover())) ?? 'mounted'
        rows.push({ name: `at rest: in place of the file ${name}`, sealed })
        judge(name, sealed, /^SEALED_MISMATCH$/)
      } finally {
        rmSync(base, { recursive: true, force: true })
        renameSync(`${base}.kept`, base)
      }
    }
  })

  test('edits while it is mounted and idle are refused, and genuine bytes are served again', async () => {
    assert.equal(await mount('sealed'), undefined)
    for (const [name, edit] of IGNORED_EDITS) {
      const sealed = await whileIdle(edit)
      rows.push({ name: `idle: ${name}`, sealed })
      judge(name, sealed, 'right')
    }
    for (const [name, edit, outcome] of [...CHUNK_EDITS, ...CUTS]) {
      const sealed = await whileIdle(edit)
      rows.push({ name: `idle: ${name}`, sealed })
      judge(name, sealed, outcome)
    }
    await healed()
    await setting.stack.unmount()
  })

  test('a file that is removed or replaced while it is mounted changes nothing', async () => {
    const { spool, stack, layers } = setting
    const [base = ''] = layers.map(({ sealed }) => join(spool, sealed.file))
    for (const name of ['removed', 'replaced by the older file']) {
      assert.equal(await mount('sealed'), undefined)
      renameSync(base, `${base}.kept`)
      try {
        if (name !== 'removed') copyFileSync(join(spool, layers[0]?.older.file ?? ''), base)
        dropCaches()
        const sealed = await stack.read(SEED)
        rows.push({ name: `idle: the file ${name}`, sealed })
        judge(name, sealed, 'right')
      } finally {
        await stack.unmount()
        rmSync(base, { force: true })
        renameSync(`${base}.kept`, base)
      }
    }
  })

  for (const [name, edit] of LOAD_EDITS) {
    test(`under load, ${name}: right bytes or an error`, async () => {
      const sealed = await underLoad('sealed', edit)
      judge(name, sealed, 'any')
      // A file that ends early is an error for everybody.
      const twin = name.startsWith('file cut') ? undefined : await underLoad('twin', edit)
      rows.push({ name: `under load: ${name}`, sealed, ...(twin === undefined ? {} : { twin }) })
      assert.ok(typeof twin !== 'object' || twin.wrong > 0, 'the detector sees nothing')
    })
  }

  test('damage is no other byte for a program that is run, or that maps a file', async () => {
    const digest =
      'import hashlib,mmap,sys;f=open(sys.argv[1],"rb");' +
      'print(hashlib.sha256(mmap.mmap(f.fileno(),0,prot=mmap.PROT_READ)).hexdigest())'
    const ways: Record<string, readonly string[]> = {
      'maps a file': ['python3', '-c', digest],
      'is run': [],
    }
    for (const [name, program] of Object.entries(ways)) {
      const run = async (kind: 'sealed' | 'twin', edit: Edit): Promise<string> => {
        let ran = ''
        await edited(kind, async (victim, older) => {
          edit(victim, older)
          assert.equal(await mount(kind), undefined)
          ran = (await setting.stack.order({ do: 'run', program, inside: PROGRAM })).ran ?? ''
          await setting.stack.unmount()
          return ''
        })
        return ran
      }
      const genuine = await run('sealed', () => {})
      assert.ok(genuine.length > 60, `${name}: ${genuine}`)
      assert.equal(await run('twin', () => {}), genuine)
      // Every page of the program but the first three: exec(2) itself reads the first.
      const damage: Edit = (v) => {
        const image = Buffer.from(v.layout.image)
        const from = image.indexOf(readFileSync(busyboxBinary()).subarray(0, 4096))
        const end = from + statSync(busyboxBinary()).size
        for (let at = from + 3 * 4096; at < end - 4096; at += 4096) v.flip(v.at(0) + at + 1234)
      }
      const sealed = await run('sealed', damage)
      const twin = await run('twin', damage)
      rows.push({ name: `at rest: every page damaged of a file that ${name}`, sealed })
      assert.match(sealed, /^SIG(BUS|SEGV)$/, `${name}: ${sealed.substring(0, 200)}`)
      assert.notEqual(twin, genuine, `${name}: the detector sees nothing`)
    }
  })
})

if (skip !== undefined) console.log(`skip: a host that edits the files: ${skip}`)
