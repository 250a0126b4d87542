import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { PoolFolder } from './pool-folder.ts'
import type { SpareEntry } from './spare-entry.ts'

const KEY = '0123456789abcdef0123'
let state: string
let folder: PoolFolder
beforeEach(() => {
  state = mkdtempSync(join(tmpdir(), 'enclave-cc-pool-'))
  folder = new PoolFolder(state, KEY)
})
afterEach(() => rmSync(state, { recursive: true }))

const entry = (id: string): SpareEntry => ({
  id,
  state: 'ready',
  createdAt: '2026-01-01T00:00:00Z',
  initDataDigest: '00'.repeat(32),
  mrEnclave: '11'.repeat(32),
  supervisorPid: 1,
  supervisorStart: '5',
  agentPid: 2,
  initPid: 3,
})

test('a spare is there while its lock is held; what a dead one left goes with the next look', () => {
  using _live = folder.live()
  {
    using _place = folder.reserve('aaaaaaaa')
    assert.deepEqual(folder.spares(), ['aaaaaaaa'])
    assert.equal(folder.read('aaaaaaaa'), undefined, 'it has not said yet who it is')
    folder.save(entry('aaaaaaaa'))
    assert.deepEqual(folder.read('aaaaaaaa'), entry('aaaaaaaa'))
    assert.equal(folder.has('aaaaaaaa'), true)
    assert.deepEqual(
      PoolFolder.all(state).map(({ key }) => key),
      [KEY],
    )
  }
  writeFileSync(folder.socket('aaaaaaaa'), '')
  assert.deepEqual(folder.spares(), [])
  assert.deepEqual(readdirSync(folder.path), ['live'])
})

test('entries that are no entries, or of another spare, are none', () => {
  using _live = folder.live()
  using _place = folder.reserve('aaaaaaaa')
  const file = join(folder.path, 'aaaaaaaa.json')
  for (const text of ['', '{', '{}', JSON.stringify(entry('bbbbbbbb')), ' '.repeat(9000)]) {
    writeFileSync(file, text)
    assert.equal(folder.read('aaaaaaaa'), undefined, text.slice(0, 20))
  }
  rmSync(file)
  symlinkSync('/dev/zero', file)
  assert.equal(folder.read('aaaaaaaa'), undefined)
})

test('who only looks sees the spares that live, and leaves what dead ones left', () => {
  using _life = folder.live()
  using _place = folder.reserve('aaaaaaaa')
  folder.save(entry('aaaaaaaa'))
  {
    using _dies = folder.reserve('bbbbbbbb')
    folder.save(entry('bbbbbbbb'))
    assert.deepEqual([...folder.living()].sort(), ['aaaaaaaa', 'bbbbbbbb'])
  }
  const left = readdirSync(folder.path).sort()
  assert.ok(left.includes('bbbbbbbb.json'), 'a killed one leaves its files')
  assert.deepEqual(folder.living(), ['aaaaaaaa'])
  assert.deepEqual(readdirSync(folder.path).sort(), left)
  assert.deepEqual(folder.spares(), ['aaaaaaaa'])
  assert.ok(!existsSync(join(folder.path, 'bbbbbbbb.json')), 'who wants a spare removes them')
})

test('life is seen while somebody holds it, and the folder goes when nobody needs it', () => {
  const first = folder.live()
  const second = folder.live()
  assert.ok(first !== undefined && second !== undefined)
  first[Symbol.dispose]()
  assert.equal(folder.hasLife(), true)
  folder.tidy()
  assert.equal(existsSync(folder.path), true)
  second[Symbol.dispose]()
  assert.equal(folder.hasLife(), false)
  {
    using _place = folder.reserve('aaaaaaaa')
    folder.tidy()
    assert.equal(existsSync(folder.path), true, 'a spare is there')
  }
  folder.tidy()
  assert.equal(existsSync(join(state, 'pool')), false)
  assert.equal(folder.hasLife(), false)
})

test('one at a time starts spares', () => {
  using mine = folder.mutex()
  assert.ok(mine !== undefined)
  assert.equal(folder.mutex(), undefined)
})

test('folders that others could have put something into are no pool, and nothing is made in them', () => {
  const pool = join(state, 'pool')
  const elsewhere = join(state, 'elsewhere')
  mkdirSync(elsewhere)
  symlinkSync(elsewhere, pool)
  assert.equal(folder.live(), undefined)
  assert.deepEqual(readdirSync(elsewhere), [])
  rmSync(pool)
  mkdirSync(pool, { mode: 0o700 })
  mkdirSync(folder.path, { mode: 0o700 })
  for (const open of [pool, folder.path]) {
    chmodSync(open, 0o770)
    assert.equal(folder.usable, false)
    assert.equal(folder.live(), undefined)
    assert.equal(folder.mutex(), undefined)
    assert.deepEqual(PoolFolder.all(state), [])
    chmodSync(open, 0o700)
  }
  assert.equal(folder.usable, true)
  assert.deepEqual(readdirSync(folder.path), [])
})
