import assert from 'node:assert/strict'
import {
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownedWorld } from '../support/owned-world.ts'
import { publishShell } from '../support/owner.ts'
import {
  claimed,
  gone,
  inspected,
  POOL_ON,
  pidOf,
  readySpares,
  SERVER,
  type Spare,
  type Status,
  statusOf,
  took,
} from '../support/spares.ts'
import type { World } from '../support/world.ts'

const MIB = 1024 * 1024
const ON = POOL_ON

let world: World
let server = ''
let short = ''

ownedWorld('pool', async (made) => {
  world = made
  server = await publishShell(world, 'server', SERVER)
  short = await publishShell(world, 'short', 'echo done')
  // folders and locks that stay
  await world.ok(['run', '--rm', short])
})

const status = (): Promise<Status> => statusOf(world)
const spares = (count: number): Promise<readonly Spare[]> => readySpares(world, count)

async function detached(options = ON): Promise<string> {
  return (await world.ok(['run', '-d', server], options)).stdout.trim()
}

function descriptors(pid: number): readonly string[] {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).map((name) => readlinkSync(join(folder, name)))
}

/** Whoever may be left is ended, so that the next test begins with nothing. */
async function removed(...ids: readonly string[]): Promise<void> {
  await world.ok(['rm', '-f', ...ids], ON)
}

test('a container takes the enclaves that waited for it, another spare takes their place, and none outlives the last container', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const { pods } = await status()
  assert.ok(spare.pss > 20 * MIB && spare.pss < 150 * MIB, `a spare costs ${spare.pss / MIB} MiB`)
  assert.equal(
    spare.pss,
    spare.processes.reduce((sum, { pss }) => sum + pss, 0),
  )
  assert.ok((pods[0]?.pss ?? 0) > 20 * MIB, 'so does the pod')
  for (const name of ['agent', 'init'] as const) {
    const open = descriptors(pidOf(spare, name))
    assert.ok(open.length > 3)
    const ofHost = open.filter(
      (target) => target.startsWith(world.dir) && !/\/(enclaves\.log|dev\/null)$/.test(target),
    )
    assert.deepEqual(ofHost, [], `${name} has its log, and nothing else of its supervisor`)
  }
  const second = await detached()
  assert.equal(await took(world, second, spare), true)
  assert.equal((await world.ok(['logs', second])).stdout, 'up\n', 'its output is its own')
  const [next] = await spares(1)
  assert.notEqual(next?.id, spare.id)
  await removed(first)
  assert.equal((await status()).pool.spares.length, 1, 'the second container still lives')
  await world.ok(['stop', second])
  assert.deepEqual((await status()).pool.spares, [], 'gone when stop returns')
  await removed(second)
})

test('a spare begins a log that has grown too long anew, though no command starts a supervisor', async () => {
  const log = join(world.root, 'supervisor.log')
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  writeFileSync(log, 'x'.repeat(8 * MIB + 1))
  const second = await detached()
  assert.equal(await took(world, second, spare), true)
  assert.equal(existsSync(`${log}.1`), false, 'the claim has opened nothing')
  const [next] = await spares(1)
  assert.ok(next !== undefined)
  for (const fd of [1, 2]) {
    assert.equal(readlinkSync(`/proc/${pidOf(next, 'supervisor')}/fd/${fd}`), log)
  }
  assert.equal(readFileSync(log, 'utf8'), '')
  assert.equal(statSync(`${log}.1`).size, 8 * MIB + 1)
  rmSync(`${log}.1`)
  await removed(first, second)
})

test('without a pool there are no spares; a container that ends at once starts none', async () => {
  const off = { env: { ENCLAVE_CC_POOL_SIZE: '0' } }
  const without = await detached(off)
  const { stdout } = await world.ok(['run', '--rm', short], ON)
  assert.equal(stdout, 'done\n')
  // another one keeps a spare, so that there would be something to take
  const keeper = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const second = await detached(off)
  assert.equal(await took(world, second, spare), false)
  await removed(keeper)
  assert.deepEqual((await status()).pool.spares, [], 'those without a pool keep no spare')
  await removed(without, second)
})

test('a spare of other init-data, of another bundle or of another rehearsal is not taken, and ends', async () => {
  const initData = world.env.ENCLAVE_CC_INIT_DATA ?? ''
  const bundle = join(world.root, 'bundles', 'default')
  const genuine = readFileSync(initData)
  const changes: readonly (readonly [string, () => Promise<void>, () => Promise<void>])[] = [
    [
      'init-data',
      async () => writeFileSync(initData, `${genuine.toString()}\n# of another day\n`),
      async () => writeFileSync(initData, genuine),
    ],
    [
      'bundle',
      async () => {
        renameSync(bundle, `${bundle}.kept`)
        const env = { SOURCE_DATE_EPOCH: '1700000000' }
        await world.ok(['bundle', 'build', '--out', bundle], { env })
      },
      async () => {
        rmSync(bundle, { recursive: true })
        renameSync(`${bundle}.kept`, bundle)
      },
    ],
    // the last one: each change of it is another platform for good
    [
      'rehearsal',
      async () => void (await world.ok(['platform', 'set', 'collateral=expired', '--rehearsal'])),
      async () => void (await world.ok(['platform', 'set', 'normal', '--rehearsal'])),
    ],
  ]
  const first = await detached()
  for (const [what, change, restore] of changes) {
    const [spare] = await spares(1)
    assert.ok(spare !== undefined)
    await change()
    try {
      const second = await world.cli(['run', '-d', server], ON)
      if (second.code === 0) {
        assert.equal(await took(world, second.stdout.trim(), spare), false, what)
        await removed(second.stdout.trim())
      }
      await gone(spare, what)
    } finally {
      await restore()
    }
  }
  await removed(first)
})

test('a spare that is killed, whichever of its processes, costs nothing but time', async () => {
  const first = await detached()
  for (const name of ['supervisor', 'agent', 'init'] as const) {
    const [spare] = await spares(1)
    assert.ok(spare !== undefined)
    process.kill(pidOf(spare, name), 'SIGKILL')
    const second = await world.ok(['run', '-d', server], ON)
    assert.doesNotMatch(second.stderr, /error|spare/)
    assert.equal(await took(world, second.stdout.trim(), spare), false, name)
    await gone(spare, `its ${name} was killed`)
    await removed(second.stdout.trim())
  }
  await removed(first)
})

test('a container from a spare ends as any other: with its agent, with its init, by its own code', async () => {
  const keeper = await detached()
  for (const name of ['agent', 'init'] as const) {
    const [spare] = await spares(1)
    assert.ok(spare !== undefined)
    const id = await detached()
    assert.equal(await took(world, id, spare), true)
    process.kill(pidOf(spare, name), 'SIGKILL')
    assert.equal((await world.ok(['wait', id])).stdout.trim(), '137')
    const [ended] = (await world.ok(['inspect', id, '--json'])).json<{ code: string }[]>()
    assert.equal(ended?.code, 'ENCLAVE_LOST', name)
    await removed(id)
  }
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  process.kill(pidOf(spare, 'agent'), 'SIGSTOP')
  const starting = world.cli(['run', server], ON)
  await claimed(world, spare)
  process.kill(pidOf(spare, 'agent'), 'SIGKILL')
  const { code, stderr } = await starting
  assert.equal(code, 125)
  assert.match(stderr, /\[ENCLAVE_LOST\]/)
  await removed(keeper)
})

test('with a linger a spare outlives the last container, serves the next one, and ends by itself', async () => {
  const env = { ENCLAVE_CC_POOL_SIZE: '1', ENCLAVE_CC_POOL_LINGER: '4s' }
  const first = await detached({ env })
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  await world.ok(['rm', '-f', first], { env })
  assert.equal((await status()).pool.spares.length, 1)
  const shorter = { env: { ...env, ENCLAVE_CC_POOL_LINGER: '2s' } }
  const second = await detached(shorter)
  assert.equal(await took(world, second, spare), true)
  await spares(1)
  await world.ok(['rm', '-f', second], shorter)
  const [last] = (await status()).pool.spares
  assert.ok(last !== undefined)
  await gone(last, 'the linger is over')
})

test('with a linger short containers, one after the other, find a spare each; two if the pool has two', async () => {
  const env = { ENCLAVE_CC_POOL_SIZE: '1', ENCLAVE_CC_POOL_LINGER: '1h' }
  await world.ok(['run', '--rm', short], { env })
  const [before] = await spares(1)
  assert.ok(before !== undefined)
  const { stdout } = await world.ok(['run', '--rm', short], { env })
  assert.equal(stdout, 'done\n')
  await gone(before, 'it was the container’s')
  const [after] = await spares(1)
  assert.ok(after !== undefined)
  const more = { env: { ...env, ENCLAVE_CC_POOL_SIZE: '2' } }
  const first = await detached(more)
  assert.equal(await took(world, first, after), true)
  const two = await spares(2)
  const both = await Promise.all([detached(more), detached(more)])
  for (const id of both) {
    const { agent } = await inspected(world, id)
    assert.ok(two.some((spare) => pidOf(spare, 'agent') === agent.pid))
  }
  await world.ok(['rm', '-f', first, ...both], { env })
  await world.ok(['pool', 'drain'])
})

test('pool drain ends spares at once and leaves containers alone', async () => {
  const env = { ENCLAVE_CC_POOL_SIZE: '1', ENCLAVE_CC_POOL_LINGER: '1h' }
  const first = await detached({ env })
  const [spare] = await spares(1)
  await world.ok(['rm', '-f', first], { env })
  const { ended } = (await world.ok(['pool', 'drain', '--json'])).json<{ ended: string[] }>()
  assert.deepEqual(ended, [spare?.id])
})

test('a supervisor that is killed takes its spares with it', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const file = join(world.root, 'containers', first, 'state.json')
  const { supervisorPid } = JSON.parse(readFileSync(file, 'utf8')) as { supervisorPid: number }
  process.kill(supervisorPid, 'SIGKILL')
  await gone(spare, 'no container lives')
  await removed(first)
})

test('a pool that somebody else made is none: it is neither used nor changed', async () => {
  const pool = join(world.state, 'pool')
  const elsewhere = world.path('elsewhere')
  const refusals: readonly (readonly [string, () => void])[] = [
    ['a link', () => symlinkSync(elsewhere, pool)],
    ['open to others', () => mkdirSync(pool, { mode: 0o777 })],
    ['of another user', () => mkdirSync(pool, { mode: 0o700 })],
    ['a file', () => writeFileSync(pool, '')],
  ]
  for (const [what, make] of refusals) {
    mkdirSync(elsewhere)
    const before = process.umask(0)
    make()
    process.umask(before)
    if (what === 'of another user') chownSync(pool, 65534, 65534)
    const { stdout } = await world.ok(['run', '--rm', short], ON)
    assert.equal(stdout, 'done\n', what)
    assert.deepEqual((await status()).pool.spares, [])
    assert.deepEqual((await world.ok(['pool', 'drain', '--json'])).json(), { ended: [] })
    assert.deepEqual(readdirSync(elsewhere), [], what)
    if (what !== 'a link' && what !== 'a file') assert.deepEqual(readdirSync(pool), [], what)
    rmSync(pool, { recursive: true })
    rmSync(elsewhere, { recursive: true })
  }
})
