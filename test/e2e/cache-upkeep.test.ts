import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statfsSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { publishShell, setUpOwner } from '../support/owner.ts'
import { sealedFiles } from '../support/sealed-files.ts'
import { until, World } from '../support/world.ts'

const MIB = 1024 * 1024
const READER =
  'trap "cat /opt/words | md5sum" USR1; trap "exit 0" TERM; echo ready; while :; do sleep 0.1; done'

interface Kept {
  readonly name: string
  readonly size: number
  readonly lastUsed: string
  readonly inUse: boolean
}

let world: World
const images: Record<string, string> = {}

before(async () => {
  world = new World('upkeep')
  await world.startRegistry()
  await world.startBroker()
  await world.prepare()
  await setUpOwner(world)
  const program = async (name: string, line: string, words: string | Uint8Array): Promise<void> => {
    images[name] = await publishShell(world, name, line, { '/opt/words': words })
  }
  await program('one', 'echo one', 'a')
  await program('two', 'echo two', 'b')
  await program('reader', READER, 'words in a layer '.repeat(100_000))
  // zeros travel fast and are sealed at length
  // a blob that has to wait on the disk, since it does not fit into memory
  await program('noise', 'echo noise', randomBytes(40 * MIB))
  await program('large', 'echo large', Buffer.alloc(192 * MIB))
})
after(async () => {
  await world[Symbol.asyncDispose]()
})
beforeEach(async () => {
  for (const name of files()) rmSync(join(layers(), name), { recursive: true })
})

function image(name: string): string {
  return images[name] ?? ''
}

function layers(): string {
  return join(world.root, 'layers')
}

function files(end = ''): readonly string[] {
  try {
    return readdirSync(layers()).filter((name) => name.endsWith(end))
  } catch {
    return []
  }
}

async function list(): Promise<readonly Kept[]> {
  return (await world.ok(['cache', 'ls', '--json'])).json<Kept[]>()
}

async function collect(...args: string[]): Promise<{ removed: string[]; freed: number }> {
  return (await world.ok(['cache', 'gc', '--json', ...args])).json()
}

async function runs(name: string, env: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = await world.ok(['run', '--rm', image(name)], { env })
  assert.equal(stdout, `${name}\n`)
  return stderr
}

const HIT = /2 of 2 were on this node/

test('ls shows what is kept, its size and its last use; gc removes the least recently used', async () => {
  assert.deepEqual(await list(), [])
  await runs('one')
  const one = (await list()).map(({ name }) => name)
  await runs('two')
  const both = await list()
  assert.deepEqual(both.map(({ name }) => name).slice(0, 2), one, 'least recently used first')
  assert.equal(
    both.reduce((sum, { size }) => sum + size, 0),
    files().reduce((sum, name) => sum + statSync(join(layers(), name)).size, 0),
    'nothing is there that ls does not count',
  )
  assert.match(await runs('one'), HIT)
  const [first, second] = await list()
  assert.ok(first !== undefined && second !== undefined)
  assert.ok(![first.name, second.name].some((name) => one.includes(name)), 'a hit is a use')

  const limit = both.filter(({ name }) => one.includes(name)).reduce((sum, l) => sum + l.size, 0)
  const done = await collect('--max-size', String(limit))
  assert.deepEqual(done.removed, [first.name, second.name])
  assert.equal(done.freed, first.size + second.size)
  assert.match(await runs('one'), HIT)
  assert.doesNotMatch(await runs('two'), HIT)
  assert.equal((await world.cli(['cache', 'gc', '--max-size', 'much'])).code, 2)
})

test('a layer in use is never removed, whoever wants it gone, and can be afterwards', async () => {
  const id = (await world.ok(['run', '-d', image('reader')])).stdout.trim()
  await until(async () => (await world.ok(['logs', id])).stdout.includes('ready'), 'the reader')
  const shared = (await world.ok(['run', '-d', image('reader')])).stdout.trim()
  await runs('one')
  assert.deepEqual((await list()).map(({ inUse }) => inUse).sort(), [false, false, true, true])
  await collect('--max-size', '0')
  const kept = await list()
  assert.equal(kept.length, 2)
  for (const file of await sealedFiles(world, id)) assert.ok(statSync(file).isFile())
  // another start that has no room tries the same
  await runs('two', { ENCLAVE_CC_CACHE_MAX_SIZE: '1' })
  assert.equal((await list()).filter(({ inUse }) => inUse).length, 2)
  await world.ok(['kill', '-s', 'USR1', id])
  await until(async () => / -\n/.test((await world.ok(['logs', id])).stdout), 'what it read')
  await world.ok(['rm', '-f', id])
  assert.ok(
    (await list()).some(({ inUse }) => inUse),
    'the second container still uses them',
  )
  await collect('--max-size', '0')
  assert.equal((await list()).length, 2)
  await world.ok(['rm', '-f', shared])
  assert.equal((await collect('--max-size', '0')).removed.length, 2)
  assert.deepEqual(files(), [])
})

test('the configured size holds after each start, and 0 keeps nothing at all', async () => {
  await runs('one', { ENCLAVE_CC_CACHE_MAX_SIZE: '1' })
  // the container itself used them until its end
  await collect('--max-size', '1')
  assert.deepEqual(files(), [])
  await runs('one')
  const size = (await list()).reduce((sum, layer) => sum + layer.size, 0)
  await runs('two', { ENCLAVE_CC_CACHE_MAX_SIZE: String(size + 1) })
  const kept = await list()
  assert.ok(kept.reduce((sum, layer) => sum + layer.size, 0) <= size + 1, 'the older one had to go')
  assert.match(await runs('two'), HIT)

  const off = { ENCLAVE_CC_CACHE_MAX_SIZE: '0' }
  assert.doesNotMatch(await runs('two', off), HIT)
  await world.ok(['run', '--name', 'spooled', image('one')], { env: off })
  const [first = ''] = await sealedFiles(world, 'spooled')
  assert.match(first, /\/containers\/[0-9a-f]{64}\/spool\/layer-0\.sealed$/)
  await world.ok(['rm', 'spooled'])
})

test('an agent killed while it seals leaves nothing in the way, and nothing that stays', async () => {
  const run = world.start(['run', '--rm', '--name', 'killed', image('large')])
  const ended = once(run, 'close')
  await until(async () => files().some((name) => name.startsWith('new-')), 'a file being sealed')
  const busy = await collect('--max-size', '0')
  assert.ok(
    !busy.removed.some((name) => name.startsWith('new-')),
    'what is being written is left alone',
  )
  const [record] = (await world.ok(['inspect', 'killed', '--json'])).json<
    { agent: { pid: number } }[]
  >()
  process.kill(record?.agent.pid ?? assert.fail('no agent'), 'SIGKILL')
  const [code] = (await ended) as [number]
  assert.equal(code, 125)
  await until(async () => files().every((name) => !name.startsWith('new-')), 'a clean cache')
  await runs('large')
  assert.match(await runs('large'), HIT)
})

test('gc removes what dead agents left, and records that lead nowhere; verify tells first', async () => {
  await runs('one')
  assert.equal((await world.cli(['cache', 'verify'])).code, 0)
  const [record = ''] = files('.record')
  const place = (name: string): string => join(layers(), name)
  const bytes = readFileSync(place(record))
  const data = files('.sealed').find((name) =>
    bytes.includes(Buffer.from(name.slice(0, 32), 'hex')),
  )
  assert.ok(data)
  const orphan = `${'ab'.repeat(16)}.sealed`
  const unfinished = `new-${'cd'.repeat(16)}`
  const nowhere = `${'ef'.repeat(32)}.record`
  writeFileSync(place(orphan), 'x')
  writeFileSync(place(unfinished), 'x')
  writeFileSync(place(nowhere), Buffer.alloc(193))
  writeFileSync(place('README'), 'of the operator')
  mkdirSync(place(`${'12'.repeat(16)}.sealed`))
  writeFileSync(place(data), readFileSync(place(data)).subarray(0, 5000))

  const verdict = await world.cli(['cache', 'verify', '--json'])
  assert.equal(verdict.code, 1)
  const { ok, records, bad, leftovers, unknown } = verdict.json<{
    ok: boolean
    records: number
    bad: { file: string; found: string }[]
    leftovers: string[]
    unknown: string[]
  }>()
  assert.deepEqual([ok, records], [false, 3])
  assert.deepEqual(bad.map(({ file }) => file).sort(), [nowhere, record].sort())
  assert.match(bad.find(({ file }) => file === record)?.found ?? '', /5000 bytes instead of/)
  assert.deepEqual([...leftovers].sort(), [orphan, unfinished])
  assert.deepEqual([...unknown].sort(), [`${'12'.repeat(16)}.sealed`, 'README'])

  const { removed } = await collect()
  const names = [orphan, unfinished, data, nowhere.slice(0, 64), record.slice(0, 64)]
  assert.deepEqual([...removed].sort(), [...names].sort())
  assert.equal((await world.cli(['cache', 'verify'])).code, 0)
  assert.equal(readFileSync(place('README'), 'utf8'), 'of the operator')
  rmSync(place(`${'12'.repeat(16)}.sealed`), { recursive: true })
  assert.doesNotMatch(await runs('one'), HIT)
  assert.match(await runs('one'), HIT)
})

test('a cache without room is none: the container starts from its spool', async () => {
  mkdirSync(layers(), { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'full', layers()])
  try {
    assert.doesNotMatch(await runs('large'), HIT)
    assert.ok(!files().some((name) => name.startsWith('new-')), 'what did not fit is gone')
    await world.ok(['run', '--name', 'elsewhere', image('large')])
    const found = await sealedFiles(world, 'elsewhere')
    await world.ok(['rm', 'elsewhere'])
    assert.ok(found.some((file) => file.includes('/spool/')))
  } finally {
    execFileSync('umount', [layers()])
  }
})

test('an enclave that has no room empties the cache only where the host sees a full disk', async () => {
  const containers = join(world.root, 'containers')
  const mount = (size: string, at: string): unknown =>
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'small', at])
  const noRoom = async (name = 'noise'): Promise<void> => {
    const { code, stderr } = await world.cli(['run', '--rm', image(name)])
    assert.equal(code, 125)
    assert.match(stderr, /DISK_FULL/)
  }
  mkdirSync(containers, { recursive: true, mode: 0o700 })
  mount('16m', containers)
  try {
    await runs('one')
    const kept = files('.record')
    assert.equal(kept.length, 2)
    await noRoom()
    const still = files('.record')
    assert.ok(
      kept.every((name) => still.includes(name)),
      'the disk of the cache has room',
    )
    mount('8m', layers())
    try {
      await runs('one')
      assert.equal(files('.record').length, 2)
      await noRoom()
      assert.deepEqual(files(), [], 'the disk of the cache is small')
    } finally {
      execFileSync('umount', [layers()])
    }
    mount('160m', layers())
    try {
      await runs('one')
      await noRoom()
      assert.ok(files('.record').length >= 2, 'a blob that is too long for the spool')
      await noRoom('large')
      assert.deepEqual(files(), [], 'a layer that filled the cache, and is gone again')
      const { bavail, bsize } = statfsSync(layers())
      assert.ok(bavail * bsize > 150 * MIB)
    } finally {
      execFileSync('umount', [layers()])
    }
  } finally {
    execFileSync('umount', [containers])
  }
})

test('a cache that cannot be written to is none', async () => {
  mkdirSync(layers(), { recursive: true })
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=1m,ro', 'sealed', layers()])
  try {
    assert.doesNotMatch(await runs('one'), HIT)
    assert.doesNotMatch(await runs('one'), HIT)
  } finally {
    execFileSync('umount', [layers()])
  }
})
