import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { test } from 'node:test'
import { randomOf } from '../../scripts/fuzz-mutations.ts'
import { leavings, leftAfter } from '../support/leavings.ts'
import { processesNaming, worldPrefix } from '../support/neighbours.ts'

const TOP = dirname(dirname(import.meta.dirname))
const SEED = Number(process.env.ENCLAVE_CC_SEED ?? 20_260_101)
const RANDOM_TIMES = 20
/** Runs at the same time: they spend much of their time waiting for each other's processes. */
const AT_ONCE = 2

/** What the demo prints when a step begins; steps 6 to 12 begin where the one before is done. */
const STEPS: readonly (readonly [string, RegExp])[] = [
  ['1 broker', /^▸ 1 /m],
  ['2 bundle', /^▸ 2 /m],
  ['3 encrypt', /^▸ 3 /m],
  ['4 sign', /^▸ 4 /m],
  ['5 push', /^▸ 5 /m],
  ['6 launch', /^simulated platform/m],
  ['7 attest', /^✓ 6 /m],
  ['8 judge', /^✓ 7 /m],
  ['9 keys', /^✓ 8 {2}judge: launch decision/m],
  ['10 layers', /^✓ 9 /m],
  ['11 handover', /^✓ 10 /m],
  ['12 run', /^✓ 11 /m],
]

/** One run of the demo that is interrupted when `when` says so. */
interface Plan {
  readonly name: string
  readonly when: RegExp | number
  /** To the whole process group, as a terminal does it, or to the demo alone. */
  readonly group: boolean
  readonly reuseBundle: boolean
}

interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly output: string
  /** What is left of its own folder and processes. */
  readonly left: readonly string[]
}

let wholeMs = 0

/** Starts the demo with a temporary folder of its own, so that everything it makes can be told. */
function startDemo(reuseBundle: boolean): { child: ChildProcess; place: string } {
  const place = mkdtempSync(worldPrefix('d'))
  const { ENCLAVE_CC_DEMO_REUSE_BUNDLE: _, NODE_TEST_CONTEXT: __, ...env } = process.env
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', 'scripts/demo.ts', '--no-color'],
    {
      cwd: TOP,
      // a group of its own, which can be signalled as a terminal would
      detached: true,
      env: {
        ...env,
        TMPDIR: place,
        ...(reuseBundle ? { ENCLAVE_CC_DEMO_REUSE_BUNDLE: '1' } : {}),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    },
  )
  return { child, place }
}

async function interruptedDemo(plan: Plan): Promise<Ended> {
  const { child, place } = startDemo(plan.reuseBundle)
  let output = ''
  let sent = false
  const interrupt = (): void => {
    if (sent) return
    sent = true
    const pid = child.pid as number
    try {
      process.kill(plan.group ? -pid : pid, 'SIGINT')
    } catch {
      // it has ended: then the exit code says that it was not interrupted
    }
  }
  const timer = typeof plan.when === 'number' ? setTimeout(interrupt, plan.when) : undefined
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk)
      if (plan.when instanceof RegExp && plan.when.test(output)) interrupt()
    })
  }
  const [code, signal] = (await once(child, 'close')) as [number | null, string | null]
  clearTimeout(timer)
  const left = [
    ...readdirSync(place, { recursive: true }).map((name) => `file ${name}`),
    ...processesNaming(place).map((pid) => `process ${pid}`),
  ]
  rmSync(place, { recursive: true, force: true })
  return { code, signal, output, left }
}

/** Runs the plans two at a time, and looks over the whole machine after each two. */
async function interruptAll(plans: readonly Plan[]): Promise<void> {
  for (let at = 0; at < plans.length; at += AT_ONCE) {
    const pair = plans.slice(at, at + AT_ONCE)
    const clean = leavings()
    const ended = await Promise.all(pair.map(interruptedDemo))
    const remains = await leftAfter(clean)
    for (const [index, { code, signal, output, left }] of ended.entries()) {
      const told = `interrupted at ${pair[index]?.name}, seed ${SEED}:\n${output}`
      // before the demo has begun to do anything, the signal simply ends it
      if (!(signal === 'SIGINT' && output === '')) assert.equal(code, 130, told)
      assert.deepEqual(left, [], told)
    }
    const names = pair.map(({ name }) => name).join(', ')
    assert.deepEqual(remains, [], `after ${names}, seed ${SEED}`)
  }
}

test('the demo does all of its steps and refusals, and leaves nothing', async () => {
  const clean = leavings()
  const { child, place } = startDemo(false)
  const started = performance.now()
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (chunk) => {
      output += String(chunk)
      // the steps' part of the run, for the random times below
      if (wholeMs === 0 && /^✓ 12 /m.test(output)) wholeMs = performance.now() - started
    })
  }
  const [code] = (await once(child, 'close')) as [number | null]
  assert.equal(code, 0, output)
  for (const [name, begins] of STEPS) assert.match(output, begins, name)
  for (const refusal of [
    /encrypted image: 0 files/,
    /APPRAISE_MEASUREMENT/,
    /bundle diff: changed {2}\/usr\/lib\/enclave-cc\/agent\.cjs/,
    /APPRAISE_OTHER_BROKER/,
    /KEY_NAMESPACE_REFUSED/,
    /SIGNATURE_MISSING/,
    /LAUNCH_ARGS_REFUSED/,
    /APPRAISE_ROOT_UNTRUSTED/,
    /ROOTFS_TAMPERED/,
  ]) {
    assert.match(output, refusal)
  }
  assert.deepEqual(readdirSync(place), [])
  rmSync(place, { recursive: true })
  assert.deepEqual(await leftAfter(clean), [])
})

test('SIGINT at each of the twelve steps cleans up', async () => {
  const plans = STEPS.map(([name, when], index) => ({
    name,
    when,
    group: index % 2 === 0,
    // the build itself is interrupted once
    reuseBundle: !name.startsWith('2'),
  }))
  await interruptAll(plans)
})

test('SIGINT at twenty random times cleans up', async () => {
  const random = randomOf(SEED)
  const times = Array.from({ length: RANDOM_TIMES }, () =>
    random(Math.max(1000, Math.round(wholeMs))),
  )
  const plans = times
    .sort((a, b) => a - b)
    .map((when, index) => ({
      name: `${when} ms`,
      when,
      group: index % 4 < 2,
      reuseBundle: true,
    }))
  await interruptAll(plans)
})
