import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { lockFile } from '#platform/lock'
import { interpose } from '../support/interposed-spare.ts'
import { ownedWorld } from '../support/owned-world.ts'
import { publishShell } from '../support/owner.ts'
import {
  claimed,
  gone,
  POOL_ON,
  pidOf,
  readySpares,
  SERVER,
  type Spare,
  type Status,
  statusOf,
  took,
} from '../support/spares.ts'
import { until, type World } from '../support/world.ts'

const ON = POOL_ON

let world: World
let server = ''
let short = ''

ownedWorld('pool-claim', async (made) => {
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

/** Whoever may be left is ended, so that the next test begins with nothing. */
async function removed(...ids: readonly string[]): Promise<void> {
  await world.ok(['rm', '-f', ...ids], ON)
}

test('of two starts at once one takes the spare, and both containers run', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const both = await Promise.all([detached(), detached()])
  const took1 = await Promise.all(both.map((id) => took(world, id, spare)))
  assert.deepEqual(took1.sort(), [false, true])
  await removed(first, ...both)
  assert.deepEqual((await status()).pool.spares, [])
})

test('a spare that does not answer is passed over, and ends when it can', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  process.kill(pidOf(spare, 'supervisor'), 'SIGSTOP')
  const second = await detached()
  assert.equal(await took(world, second, spare), false)
  process.kill(pidOf(spare, 'supervisor'), 'SIGCONT')
  await removed(first, second)
  assert.deepEqual((await status()).pool.spares, [])
})

/** Stands before a spare that is stopped as soon as a command has sent it a job. */
async function stoppedAtJob(spare: Spare, onJob = (): void => {}): Promise<AsyncDisposable> {
  const path = join(world.state, 'pool', spare.key, `${spare.id}.sock`)
  return await interpose(path, world.path('aside.sock'), {
    fromCommand(number) {
      if (number > 0) return
      process.kill(pidOf(spare, 'supervisor'), 'SIGSTOP')
      onJob()
    },
  })
}

/** Wakes a spare that was stopped; it must end by itself. */
async function woken(spare: Spare): Promise<void> {
  process.kill(pidOf(spare, 'supervisor'), 'SIGCONT')
  await gone(spare, 'woken')
}

/** Everything that the node keeps of a container. */
function kept(id: string): unknown {
  const folder = join(world.root, 'containers', id)
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort()
  return [files, readFileSync(join(folder, 'state.json'), 'utf8')]
}

test('a spare that is stopped between its greeting and its answer is given up, and touches nothing when it wakes', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  await using _between = await stoppedAtJob(spare)
  const second = await detached()
  assert.equal(await took(world, second, spare), false)
  const before = kept(second)
  await woken(spare)
  assert.deepEqual(kept(second), before)
  assert.equal((await world.ok(['logs', second])).stdout, 'up\n')
  await removed(first, second)
})

test('a start that waits for a stopped spare can be interrupted at once, and leaves nothing', async () => {
  const first = await detached()
  for (const [signal, expected] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
    ['SIGKILL', null],
  ] as const) {
    const [spare] = await spares(1)
    assert.ok(spare !== undefined)
    const asked = Promise.withResolvers<void>()
    await using _between = await stoppedAtJob(spare, asked.resolve)
    const child = world.start(['run', server], ON)
    const exit = once(child, 'exit')
    await asked.promise
    const begin = performance.now()
    child.kill(signal)
    const [code] = await exit
    assert.equal(code, expected)
    assert.ok(performance.now() - begin < 1500, 'not when the spare is given up')
    const left = (await world.ok(['ps', '-aq', '--no-trunc'])).stdout.trim()
    if (signal !== 'SIGKILL') assert.equal(left, first)
    await woken(spare)
    assert.equal((await world.ok(['ps', '-aq', '--no-trunc'])).stdout.trim(), first)
  }
  await removed(first)
})

test('a spare whose answer does not reach the command begins nothing', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const path = join(world.state, 'pool', spare.key, `${spare.id}.sock`)
  // the greeting passes, `claimed` does not
  const fromSpare = (number: number): boolean => number === 0
  await using _between = await interpose(path, world.path('aside.sock'), { fromSpare })
  const second = await detached()
  assert.equal(await took(world, second, spare), false)
  await gone(spare, 'told nothing')
  assert.equal((await world.ok(['logs', second])).stdout, 'up\n')
  await removed(first, second)
})

test('a start that is interrupted at any moment of the claim leaves nothing', async () => {
  const first = await detached()
  for (const [i, signal] of (['SIGINT', 'SIGTERM', 'SIGKILL', 'SIGINT'] as const).entries()) {
    await spares(1)
    const child = world.start(['run', server], ON)
    const exit = once(child, 'exit')
    // the banner is printed just before a spare is looked for
    await once(child.stderr ?? process.stdin, 'data')
    for (let turns = 0; turns < 40 * i; turns++) await new Promise(setImmediate)
    child.kill(signal)
    await exit
    await until(async () => {
      const { stdout } = await world.ok(['ps', '-aq', '--no-trunc'])
      return stdout.trim() === first
    }, 'the end of the interrupted start')
  }
  await removed(first)
})

test('a start that is interrupted when it has its spare ends it, and leaves nothing', async () => {
  const first = await detached()
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGKILL', null],
  ] as const) {
    const [spare] = await spares(1)
    assert.ok(spare !== undefined)
    // so that the start gets no further than that
    process.kill(pidOf(spare, 'agent'), 'SIGSTOP')
    const child = world.start(['run', server], ON)
    const exit = once(child, 'exit')
    await claimed(world, spare)
    child.kill(signal)
    assert.equal((await exit)[0], code)
    await gone(spare, `its command got ${signal}`)
    assert.equal((await world.ok(['ps', '-aq', '--no-trunc'])).stdout.trim(), first)
  }
  await removed(first)
})

test('what lies in a pool and is no spare is passed over: sockets that say nothing or something else, names, links', async () => {
  const first = await detached()
  const [spare] = await spares(1)
  assert.ok(spare !== undefined)
  const folder = join(world.state, 'pool', spare.key)
  const entry = readFileSync(join(folder, `${spare.id}.json`), 'utf8')
  await using stack = new AsyncDisposableStack()
  // older than the spare, so that they are tried first
  for (const [i, answer] of [
    '',
    'hello\n',
    '{"event":"spare","key":"x"}\n',
    `${'x'.repeat(1 << 23)}`,
  ].entries()) {
    const id = `0000000${i}`
    writeFileSync(
      join(folder, `${id}.json`),
      JSON.stringify({ ...JSON.parse(entry), id, createdAt: '2000-01-01T00:00:00Z' }),
    )
    stack.use(lockFile(join(folder, `${id}.lock`), 'exclusive'))
    const server = createServer((socket) => {
      socket.on('error', () => {})
      socket.write(answer)
    })
    server.listen(join(folder, `${id}.sock`))
    await once(server, 'listening')
    stack.defer(() => void server.close())
  }
  symlinkSync('/etc/passwd', join(folder, 'ffffffff.json'))
  symlinkSync('/etc/passwd', join(folder, 'ffffffff.lock'))
  writeFileSync(join(folder, 'something'), '')
  const second = await detached()
  assert.equal(await took(world, second, spare), true)
  for (const name of readdirSync(folder)) {
    if (/^0000000|^ffffffff|^something/.test(name)) rmSync(join(folder, name))
  }
  await stack.disposeAsync()
  await removed(first, second)
})
