import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as delay, setImmediate as immediate } from 'node:timers/promises'
import { ownedWorld } from '../support/owned-world.ts'
import { publishShell } from '../support/owner.ts'
import { scanForMarker } from '../support/plaintext-scanner.ts'
import { podProcesses } from '../support/pod-processes.ts'
import { scratchDevices, scratchFiles } from '../support/scratch-devices.ts'
import { until, type World } from '../support/world.ts'

const POLICY = 'kbs:///acme/launch-policy/default'
// The image names the halves; the whole is written by its program alone.
const MARKER = 'written-by-the-program-4e7d'
const WRITE =
  'a=written-by; b=the-program-4e7d; i=0; while [ $i -lt 300 ]; do echo $a-$b; i=$((i+1)); done > /var/log/x; sync; ' +
  'echo wrote; trap "exit 0" TERM; while :; do sleep 0.1; done'
const FILL =
  'mkdir -p /big; dd if=/dev/zero of=/big/x bs=1M count=100 2>/dev/null; echo "dd $?"; grep -c " / overlay " /proc/mounts'

let world: World
let writer: string
let filler: string

ownedWorld('scratch', async (made) => {
  world = made
  writer = await publishShell(world, 'writer', `mkdir -p /var/log; ${WRITE}`)
  filler = await publishShell(world, 'filler', FILL)
  await world.ok(['run', '--rm', filler])
})

interface Inspected {
  readonly id: string
  readonly mounts: readonly { destination: string; kind: string; size: number }[]
  readonly init: { readonly pid: number }
}

async function inspected(name: string): Promise<Inspected> {
  const [found] = (await world.ok(['inspect', name])).json<Inspected[]>()
  assert.ok(found)
  return found
}

async function started(args: readonly string[]): Promise<Inspected & { readonly told: string }> {
  const { stderr } = await world.ok(['run', '-d', '--name', 'it', ...args, writer])
  await until(
    async () => (await world.ok(['logs', 'it'])).stdout.includes('wrote'),
    'the program to write',
  )
  return { ...(await inspected('it')), told: stderr }
}

test('by default what a container writes is encrypted on the disk, and a loop device shows it to root', async () => {
  const { mounts, init, told, id } = await started([])
  try {
    assert.deepEqual(mounts, [{ destination: '/', kind: 'disk', size: 2 ** 32 }])
    assert.match(told, /scratch on disk.*loop device shows it to root.*--scratch tmpfs/)
    const [device] = scratchDevices(init.pid)
    assert.equal(
      spawnSync('grep', ['-q', MARKER, device?.path ?? '']).status,
      0,
      'the positive control',
    )
    assert.deepEqual(scanForMarker([world.dir], MARKER), [])
    const spool = join(world.root, 'containers', id, 'spool')
    assert.ok(readdirSync(spool).every((name) => name.endsWith('.sealed')))
    const held = scratchFiles(init.pid)
    assert.equal(held.length, 1, 'the ciphertext has no name')
    assert.equal(spawnSync('grep', ['-q', MARKER, held[0]?.path ?? '']).status, 1)
  } finally {
    await world.ok(['rm', '-f', 'it'])
  }
})

test('--scratch tmpfs:SIZE is memory of that size, which no device shows', async () => {
  const { mounts, init, told } = await started(['--scratch', 'tmpfs:64m'])
  try {
    assert.deepEqual(mounts, [{ destination: '/', kind: 'tmpfs', size: 2 ** 26 }])
    assert.doesNotMatch(told, /scratch on disk/)
    assert.deepEqual(scratchDevices(init.pid), [])
  } finally {
    await world.ok(['rm', '-f', 'it'])
  }
  const full = await world.cli(['run', '--rm', '--scratch', 'tmpfs:64m', filler])
  assert.equal(full.stdout, 'dd 1\n1\n')
  const disk = await world.cli(['run', '--rm', '--scratch', 'disk:64m', filler])
  assert.equal(disk.stdout, 'dd 1\n1\n')
  assert.equal(
    (await world.cli(['run', '--rm', '--scratch', 'disk:256m', filler])).stdout,
    'dd 0\n1\n',
  )
})

test('a launch policy that does not permit a disk insists on memory', async () => {
  const base = [
    '@id("signed") permit (principal, action == Action::"run", resource) when { principal.signed };',
    '@id("keys") permit (principal, action == Action::"use-key", resource);',
  ].join('\n')
  const file = world.path('launch.cedar')
  writeFileSync(file, base)
  await world.ok(['kbs', 'resource', 'set', POLICY, file])
  try {
    const { mounts } = await started([])
    await world.ok(['rm', '-f', 'it'])
    assert.deepEqual(mounts, [{ destination: '/', kind: 'tmpfs', size: 2 ** 30 }])
    const asked = await world.cli(['run', '--rm', '--scratch', 'disk', filler])
    assert.equal(asked.code, 125)
    assert.match(asked.stderr, /^error: .*\[LAUNCH_SCRATCH_REFUSED\]$/m)
    const rule = /^next: add to the launch policy: (@id.*;)$/m.exec(asked.stderr)?.[1]
    assert.ok(rule, asked.stderr)
    writeFileSync(file, `${base}\n${rule}`)
    await world.ok(['kbs', 'resource', 'set', POLICY, file])
    const now = await world.cli(['run', '--rm', '--scratch', 'disk', filler])
    assert.equal(now.stdout, 'dd 0\n1\n', now.stderr)
  } finally {
    await world.ok(['kbs', 'resource', 'delete', POLICY])
  }
})

test('where there is no loop device, the error says what runs without one', async () => {
  const program = [join(world.dist, 'enclave-cc.cjs'), 'run', '--rm']
  const script = `printf '' >${world.path('nothing')}; mount --bind ${world.path('nothing')} /dev/loop-control; exec "$@"`
  const inside = (...args: string[]) =>
    spawnSync(
      'unshare',
      [
        '--mount',
        '--propagation',
        'private',
        'sh',
        '-c',
        script,
        'sh',
        process.execPath,
        ...program,
        ...args,
      ],
      { encoding: 'utf8', cwd: '/', env: world.env, timeout: 120_000 },
    )
  const without = inside(filler)
  assert.equal(without.status, 125)
  assert.match(without.stderr, /^error: .*no loop device.*\[SCRATCH_UNAVAILABLE\]$/m)
  assert.match(without.stderr, /^next: .*--scratch tmpfs/m)
  assert.equal(inside('--scratch', 'tmpfs:64m', filler).stdout, 'dd 1\n1\n')
})

test('a scratch that is none is refused before anything starts', async () => {
  for (const word of ['floppy', 'disk:1k', 'tmpfs:0']) {
    const { code, stderr } = await world.cli(['run', '--scratch', word, filler])
    assert.equal(code, 2, stderr)
    assert.match(stderr, /\[USAGE\]$/m)
  }
})

function statOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch {
    return ''
  }
}

/** The children of a process that its main thread started. */
function childrenOf(pid: number): readonly number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, 'latin1').split(' ').map(Number)
  } catch {
    return []
  }
}

/**
 * Kills an init in the moment that it mounts its scratch, which it serves itself. `missed`: it was
 * past that when it was looked at.
 */
async function killWhileMounting(
  init: number,
  over: () => boolean,
): Promise<'stuck' | 'killed' | 'missed'> {
  const maker = (): number | undefined =>
    childrenOf(init).find((pid) => statOf(pid).includes('(mke2fs)'))
  // It is there for a few milliseconds only: no pause between two looks.
  let pid = maker()
  for (; pid === undefined; pid = maker()) {
    if (over()) return 'missed'
    await immediate()
  }
  // The mount follows within a few milliseconds, and takes as many: nothing else may run in between.
  while (/\(mke2fs\) [^Z]/.test(statOf(pid)));
  const end = performance.now() + 20
  while (performance.now() < end && !/\) D /.test(statOf(init)));
  process.kill(init, 'SIGKILL')
  await delay(50)
  return / D /.test(statOf(init)) ? 'stuck' : 'killed'
}

test('an init that is killed while it waits for its own scratch does not keep its command waiting', async (t) => {
  const count = { stuck: 0, killed: 0, missed: 0 }
  for (let tries = 0; count.stuck < 2 && tries < 8; tries++) {
    const command = world.start(['run', '--rm', '--scratch', 'disk:64m', writer])
    const ended = once(command, 'close')
    const init = (): number => podProcesses(command.pid ?? 0).init ?? 0
    await until(async () => init() !== 0, 'an init')
    const hit = await killWhileMounting(init(), () => command.exitCode !== null)
    count[hit]++
    if (hit === 'missed') continue
    const late = delay(20_000, 'late', { ref: false })
    const outcome = await Promise.race([ended, late])
    command.kill('SIGKILL')
    assert.deepEqual(outcome, [125, null])
  }
  t.diagnostic(`${count.stuck} inits waited for themselves, ${count.missed} got by`)
  assert.ok(count.stuck + count.killed > 0)
})
