import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { ownedWorld } from '../support/owned-world.ts'
import { publishShell } from '../support/owner.ts'
import { scanForMarker } from '../support/plaintext-scanner.ts'
import { children } from '../support/pod-processes.ts'
import {
  isAttached,
  type ScratchDevice,
  scratchDevices,
  scratchFiles,
} from '../support/scratch-devices.ts'
import {
  gone,
  inspected,
  POOL_ON,
  pidOf,
  readySpares,
  type Spare,
  statusOf,
} from '../support/spares.ts'
import { type CliOptions, until, type World } from '../support/world.ts'

const POLICY = 'kbs:///acme/launch-policy/default'
// The image names the halves; the whole is written by its program alone.
const MARKER = 'written-by-the-server-6b1f'
const WRITE =
  'a=written-by; b=the-server-6b1f; i=0; while [ $i -lt 300 ]; do echo $a-$b; i=$((i+1)); done > /x; sync; ' +
  'echo wrote; trap "exit 0" TERM; while :; do sleep 0.1; done'

let world: World
let server = ''

ownedWorld('pool-scratch', async (made) => {
  world = made
  server = await publishShell(world, 'server', WRITE)
  // folders and locks that stay
  await world.ok(['rm', '-f', await detached([], {})])
})

async function detached(
  args: readonly string[] = [],
  options: CliOptions = POOL_ON,
): Promise<string> {
  const id = (await world.ok(['run', '-d', ...args, server], options)).stdout.trim()
  await until(async () => (await world.ok(['logs', id])).stdout === 'wrote\n', 'the program')
  return id
}

async function removed(...ids: readonly string[]): Promise<void> {
  await world.ok(['rm', '-f', ...ids], POOL_ON)
}

function devicesOf(spare: Spare): readonly ScratchDevice[] {
  return scratchDevices(pidOf(spare, 'init'))
}

/** Has the owner insist on a scratch in memory meanwhile. */
async function inMemoryOnly(work: () => Promise<void>): Promise<void> {
  const file = world.path('launch.cedar')
  writeFileSync(
    file,
    [
      '@id("signed") permit (principal, action == Action::"run", resource) when { principal.signed };',
      '@id("keys") permit (principal, action == Action::"use-key", resource);',
    ].join('\n'),
  )
  await world.ok(['kbs', 'resource', 'set', POLICY, file])
  try {
    await work()
  } finally {
    await world.ok(['kbs', 'resource', 'delete', POLICY])
  }
}

test('what a container writes is on the scratch that its spare made ahead, and is ciphertext on the disk', async () => {
  const small = ['--scratch', 'disk:64m']
  const first = await detached(small)
  const [spare] = await readySpares(world, 1)
  assert.ok(spare !== undefined)
  const ahead = devicesOf(spare)
  assert.equal(ahead.length, 1, 'a spare that is ready has its scratch mounted')
  const second = await detached(small)
  const { init, mounts } = await inspected(world, second)
  assert.equal(init.pid, pidOf(spare, 'init'))
  assert.deepEqual(scratchDevices(init.pid), ahead)
  assert.deepEqual(mounts, [{ destination: '/', kind: 'disk', size: 2 ** 26 }])
  const found = spawnSync('grep', ['-q', MARKER, ahead[0]?.path ?? '']).status
  assert.equal(found, 0, 'the positive control')
  const files = scratchFiles(init.pid)
  assert.deepEqual(
    files.map(({ size }) => size),
    [2 ** 26],
  )
  assert.equal(spawnSync('grep', ['-q', MARKER, files[0]?.path ?? '']).status, 1)
  assert.deepEqual(scanForMarker([world.dir], MARKER), [])
  await removed(first, second)
  assert.ok(ahead.every((device) => !isAttached(device)))
})

test('each scratch that is asked for has spares of its own, and one in memory has no device', async () => {
  const memory = ['--scratch', 'tmpfs:64m']
  const ids = [await detached(), await detached(memory)]
  const two = await readySpares(world, 2)
  const withDevice = two.filter((spare) => devicesOf(spare).length === 1)
  const without = two.filter((spare) => devicesOf(spare).length === 0)
  assert.deepEqual([withDevice.length, without.length], [1, 1])
  const small = await detached(['--scratch', 'disk:64m'])
  ids.push(small)
  const { agent, mounts } = await inspected(world, small)
  assert.equal(mounts[0]?.size, 2 ** 26)
  assert.ok(!two.some((spare) => pidOf(spare, 'agent') === agent.pid), 'neither of them fits')
  const again = await detached(memory)
  ids.push(again)
  const { init } = await inspected(world, again)
  assert.equal(init.pid, pidOf(without[0] as Spare, 'init'))
  assert.deepEqual(scratchDevices(init.pid), [])
  await removed(...ids)
  assert.deepEqual((await statusOf(world)).pool.spares, [])
})

test('a spare leaves neither loop device nor mount, however it ends', async () => {
  const first = await detached()
  const ends: readonly (readonly [string, (spare: Spare) => Promise<void>])[] = [
    ['drained', async () => void (await world.ok(['pool', 'drain']))],
    ...(['supervisor', 'agent', 'init'] as const).map(
      (name) =>
        [
          `${name} killed`,
          async (spare: Spare) => void process.kill(pidOf(spare, name), 'SIGKILL'),
        ] as const,
    ),
    [
      'init stopped, then drained',
      async (spare) => {
        process.kill(pidOf(spare, 'init'), 'SIGSTOP')
        await world.ok(['pool', 'drain'])
      },
    ],
    ['the last container ended', () => removed(first)],
  ]
  for (const [what, end] of ends) {
    const [spare] = await readySpares(world, 1)
    assert.ok(spare !== undefined)
    const [device] = devicesOf(spare)
    assert.ok(device !== undefined, what)
    await end(spare)
    await until(async () => !isAttached(device), `the end of ${device.path}: ${what}`)
    await gone(spare, what)
  }
})

test('a launch policy that insists on memory gets it, also from a spare that has a scratch on disk', async () => {
  await inMemoryOnly(async () => {
    const first = await detached()
    const [spare] = await readySpares(world, 1)
    assert.ok(spare !== undefined)
    const [device] = devicesOf(spare)
    assert.ok(device !== undefined)
    const second = await detached()
    const { init, mounts } = await inspected(world, second)
    assert.equal(init.pid, pidOf(spare, 'init'))
    assert.deepEqual(mounts, [{ destination: '/', kind: 'tmpfs', size: 2 ** 30 }])
    assert.deepEqual(scratchDevices(init.pid), [])
    assert.equal(isAttached(device), false)
    const names = children(init.pid).map((pid) => readFileSync(`/proc/${pid}/comm`, 'utf8').trim())
    assert.deepEqual(names, ['sh'], 'the container alone, and no keeper')
    assert.deepEqual(
      scratchFiles(init.pid).map(({ size }) => size),
      [0],
      'what was made ahead takes no room',
    )
    await removed(first, second)
  })
})

test('a spare that cannot have its scratch is none, and the log says why', async () => {
  await inMemoryOnly(async () => {
    const nothing = world.path('nothing')
    writeFileSync(nothing, '')
    const script = `mount --bind ${nothing} /dev/loop-control; exec "$@"`
    const mounts = ['--mount', '--propagation', 'private', 'sh', '-c', script, 'sh']
    const program = [process.execPath, join(world.dist, 'enclave-cc.cjs'), 'run', '-d', server]
    const env = { ...world.env, ...POOL_ON.env }
    const options = { encoding: 'utf8', cwd: '/', env, timeout: 60_000 } as const
    const { status, stdout, stderr } = spawnSync('unshare', [...mounts, ...program], options)
    assert.equal(status, 0, stderr)
    const log = join(world.root, 'supervisor.log')
    const said = (): string => (existsSync(log) ? readFileSync(log, 'utf8') : '')
    await until(async () => /spare [0-9a-f]{8}: .*no loop device/.test(said()), 'the log')
    await until(async () => (await statusOf(world)).pool.spares.length === 0, 'its end')
    await removed(stdout.trim())
    rmSync(log)
  })
})
