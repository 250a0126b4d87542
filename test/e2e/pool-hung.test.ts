import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { interpose } from '../support/interposed-spare.ts'
import { ownedWorld } from '../support/owned-world.ts'
import { publishShell } from '../support/owner.ts'
import { children, enclaves } from '../support/pod-processes.ts'
import { isAttached, scratchDevices } from '../support/scratch-devices.ts'
import {
  claimed,
  gone,
  POOL_ON,
  pidOf,
  readySpares,
  SERVER,
  type Spare,
} from '../support/spares.ts'
import { until, type World } from '../support/world.ts'

let world: World
let server = ''

ownedWorld('pool-hung', async (made) => {
  world = made
  server = await publishShell(world, 'server', SERVER)
  // folders and locks that stay
  const id = (await world.ok(['run', '-d', server])).stdout.trim()
  await world.ok(['rm', '-f', id])
})

async function detached(): Promise<string> {
  return (await world.ok(['run', '-d', server], POOL_ON)).stdout.trim()
}

async function ids(): Promise<readonly string[]> {
  return (await world.ok(['ps', '-aq', '--no-trunc'])).stdout.trim().split('\n')
}

/** A spare that is not ready, with the part of it that was stopped. */
interface HungSpare {
  readonly id: string
  readonly processes: readonly number[]
  readonly stopped: number
}

/** Stops a part of the next spare as soon as it is there. */
async function hung(part: 'init' | 'mke2fs'): Promise<HungSpare> {
  const pool = join(world.state, 'pool')
  for (const end = performance.now() + 20_000; performance.now() < end; ) {
    for (const [id, supervisor] of startingIn(pool)) {
      const { agent, init } = enclaves(supervisor)
      const stopped =
        part === 'init' || init === undefined
          ? init
          : children(init).find((pid) => nameOf(pid) === 'mke2fs')
      if (agent === undefined || init === undefined || stopped === undefined) continue
      process.kill(stopped, 'SIGSTOP')
      return { id, processes: [...new Set([supervisor, agent, init, stopped])], stopped }
    }
    await new Promise(setImmediate)
  }
  throw new Error(`no spare with ${part} was seen`)
}

/** Ids and supervisors of the spares that are not ready. */
function startingIn(pool: string): readonly (readonly [string, number])[] {
  const files = existsSync(pool) ? readdirSync(pool, { recursive: true, encoding: 'utf8' }) : []
  return files
    .filter((file) => file.endsWith('.json'))
    .flatMap((file) => {
      try {
        const { id, state, supervisorPid } = JSON.parse(readFileSync(join(pool, file), 'utf8'))
        return state === 'starting' ? [[id, supervisorPid] as const] : []
      } catch {
        return []
      }
    })
}

function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return ''
  }
}

/** As `until`, for `seconds` at most. */
async function within(seconds: number, probe: () => boolean, what: () => string): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!probe()) {
    assert.ok(performance.now() < end, `${what()} after ${seconds} s`)
    await delay(20)
  }
}

/** Waits until none of the processes is left. */
async function ended({ processes }: HungSpare, seconds: number): Promise<void> {
  const left = (): readonly number[] => processes.filter((pid) => existsSync(`/proc/${pid}`))
  await within(
    seconds,
    () => left().length === 0,
    () => `left: ${left().map(nameOf).join()}`,
  )
}

function supervisorOf(container: string): number {
  const file = join(world.root, 'containers', container, 'state.json')
  return (JSON.parse(readFileSync(file, 'utf8')) as { supervisorPid: number }).supervisorPid
}

for (const part of ['init', 'mke2fs'] as const) {
  test(`a spare whose ${part} hangs ends when the last supervisor of its key is killed`, async () => {
    const first = await detached()
    const spare = await hung(part)
    process.kill(supervisorOf(first), 'SIGKILL')
    await ended(spare, 10)
    await world.ok(['rm', '-f', first], POOL_ON)
  })
}

test('a spare that hangs while its container lives ends after half a minute, and another takes its place', async () => {
  const log = join(world.root, 'supervisor.log')
  const first = await detached()
  const spare = await hung('init')
  await ended(spare, 40)
  assert.match(readFileSync(log, 'utf8'), new RegExp(`spare ${spare.id}: .*not there after 30 s`))
  rmSync(log)
  // it was a failure, and is tried again as every other
  await within(
    20,
    () => startingIn(join(world.state, 'pool')).length === 1,
    () => 'no other spare',
  )
  await readySpares(world, 1)
  await world.ok(['rm', '-f', first], POOL_ON)
})

/** A command that is stopped when a spare has answered to its job, before it can say `go`. */
async function stoppedAtAnswer(
  spare: Spare,
): Promise<AsyncDisposable & { readonly command: ChildProcess; output(): string }> {
  const path = join(world.state, 'pool', spare.key, `${spare.id}.sock`)
  let command: ChildProcess | undefined
  const between = await interpose(path, world.path('aside.sock'), {
    fromSpare(number) {
      if (number === 1) command?.kill('SIGSTOP')
      return true
    },
  })
  command = world.start(['run', '-d', server], POOL_ON)
  let output = ''
  for (const stream of [command.stdout, command.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk)
    })
  }
  await claimed(world, spare)
  return {
    command,
    output: () => output,
    [Symbol.asyncDispose]: () => between[Symbol.asyncDispose](),
  }
}

async function enclavesGone(spare: Spare, why: string): Promise<void> {
  const processes = spare.processes.filter(({ name }) => name !== 'supervisor')
  await gone({ ...spare, processes }, why)
}

test('a spare does not wait for ever for a command that was stopped; woken, that starts its container all the same', async () => {
  const first = await detached()
  const [spare] = await readySpares(world, 1)
  assert.ok(spare !== undefined)
  const devices = scratchDevices(pidOf(spare, 'init'))
  assert.equal(devices.length, 1)
  await using stopped = await stoppedAtAnswer(spare)
  const exit = once(stopped.command, 'exit')
  await enclavesGone(spare, 'its command said nothing')
  await until(async () => !devices.some(isAttached), 'the end of its loop device')
  stopped.command.kill('SIGCONT')
  assert.equal((await exit)[0], 0, stopped.output())
  await gone(spare, 'its command goes on without it')
  const [second] = (await ids()).filter((id) => id !== first)
  assert.ok(second !== undefined)
  await until(async () => (await world.ok(['logs', second])).stdout === 'up\n', 'its program')
  await world.ok(['rm', '-f', first, second], POOL_ON)
})

test('a spare that loses an enclave after its answer ends at once, whatever its command does', async () => {
  const first = await detached()
  for (const name of ['agent', 'init'] as const) {
    const [spare] = await readySpares(world, 1)
    assert.ok(spare !== undefined)
    await using stopped = await stoppedAtAnswer(spare)
    const exit = once(stopped.command, 'exit')
    const begin = performance.now()
    process.kill(pidOf(spare, name), 'SIGKILL')
    await enclavesGone(spare, `its ${name} was killed`)
    assert.ok(performance.now() - begin < 2500, 'not when its command has had its time')
    stopped.command.kill('SIGCONT')
    const [code] = await exit
    const others = (await ids()).filter((id) => id !== first)
    // in time it hears of that; later it had given the spare up already
    if (code !== 0) {
      assert.match(stopped.output(), /ended before it began \[ENCLAVE_LOST\]/)
      assert.deepEqual(others, [])
    } else await world.ok(['rm', '-f', ...others], POOL_ON)
    await gone(spare, 'its command has ended')
  }
  await world.ok(['rm', '-f', first], POOL_ON)
})

test('a spare that is terminated after its answer removes the record of a command that was killed', async () => {
  const first = await detached()
  const [spare] = await readySpares(world, 1)
  assert.ok(spare !== undefined)
  await using stopped = await stoppedAtAnswer(spare)
  const exit = once(stopped.command, 'exit')
  process.kill(pidOf(spare, 'supervisor'), 'SIGTERM')
  await enclavesGone(spare, 'terminated')
  stopped.command.kill('SIGKILL')
  await exit
  await gone(spare, 'its command is dead')
  assert.deepEqual(await ids(), [first])
  await world.ok(['rm', '-f', first], POOL_ON)
})
