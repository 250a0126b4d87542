import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { rehearseHandover } from '../../handover/rehearsal.ts'
import { rehearse } from './rehearsal.ts'

const PLATFORM = { os: 'linux', architecture: 'amd64' } as const
const NEVER = new AbortController().signal
const EMPTY = { layers: [], config: new Uint8Array(2), scratch: new Uint8Array(2) }

/** Processor time, in milliseconds, that `work` takes as the first of its kind in a process, after `before`. */
function firstTime(before: string, work: string): number {
  const program = `
    import { LAUNCH_DEFAULT } from '#lib/policy'
    import { rehearseHandover } from '../../handover/rehearsal.ts'
    import { ask } from '../image/launch-decision.ts'
    import { rehearseConnection } from './connection.ts'
    import { rehearse } from './rehearsal.ts'
    const image = { registry: 'r.example', repository: 'a/b', tag: '1', digest: 'sha256:00', signers: [],
      signed: true, encrypted: true, fullyEncrypted: true }
    const question = { action: 'run', image, platform: 'simulated', containerId: 'c' }
    ${before}
    const begin = process.cpuUsage()
    ${work}
    const { user, system } = process.cpuUsage(begin)
    console.log((user + system) / 1000)`
  const out = execFileSync(process.execPath, ['--input-type=module-typescript', '-e', program], {
    cwd: import.meta.dirname,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  })
  return Number(out)
}

test('a rehearsal gets to its end, on every machine, and again', async () => {
  await rehearse(PLATFORM, NEVER)
  await rehearse({ ...PLATFORM, architecture: 'arm64' }, NEVER)
})

test('after it decision, handover and connection are no first ones any more', () => {
  const all = `await rehearse({ os: 'linux', architecture: 'amd64' }, new AbortController().signal)`
  for (const work of [
    `if (!ask(LAUNCH_DEFAULT, question).allowed) throw new Error('refused')`,
    'await rehearseHandover({ layers: [], config: new Uint8Array(2), scratch: new Uint8Array(2) })',
    'await rehearseConnection()',
  ]) {
    const [cold, warm] = [firstTime('', work), firstTime(all, work)]
    assert.ok(warm < cold / 2, `${work}: ${warm} ms of processor time after it, ${cold} ms without`)
  }
})

test('a handover that cannot be is noticed: its parts are the real ones', async () => {
  const config = new Uint8Array(3 * 1024 * 1024)
  await assert.rejects(rehearseHandover({ ...EMPTY, config }), RangeError)
  await rehearseHandover(EMPTY)
})

test('it is left off where somebody needs the agent, and opens nothing that stays', async () => {
  const kept = () =>
    process.getActiveResourcesInfo().filter((name) => /TCP|Timeout|Server|Worker/.test(name))
  const before = kept()
  const abort = new AbortController()
  const going = rehearse(PLATFORM, abort.signal)
  abort.abort(new Error('needed'))
  await assert.rejects(going, /needed/)
  await rehearse(PLATFORM, NEVER)
  await new Promise(setImmediate)
  assert.deepEqual(kept(), before)
})
