import assert from 'node:assert/strict'
import { Session } from 'node:inspector/promises'
import { test } from 'node:test'
import { rehearseHandover } from '../../handover/rehearsal.ts'
import { rehearse } from './rehearsal.ts'

const PLATFORM = { os: 'linux', architecture: 'amd64' } as const
const NEVER = new AbortController().signal
const EMPTY = { layers: [], config: new Uint8Array(2), scratch: new Uint8Array(2) }

/** What a container's start would be the first to run: a file below `src`, and a function of it. */
const FIRST: readonly (readonly [string, string])[] = [
  ['lib/signing/verification-key.ts', 'verifySignature'],
  ['lib/policy/evaluate.ts', 'ask'],
  ['lib/launch/construct.ts', 'constructLaunch'],
  ['lib/handover/responder.ts', '#onConfirm'],
  ['lib/handover/initiator.ts', '#onKeys'],
  ['platform/http/connect.ts', 'checkPins'],
  ['platform/http/http-transport.ts', 'readBody'],
  ['enclave/agent/broker/exchange.ts', 'exchange'],
  ['enclave/agent/broker/session-key.ts', 'open'],
]

/** Those of `FIRST` that ran while `work` did. */
async function ranBy(work: () => Promise<void>): Promise<readonly string[]> {
  const session = new Session()
  session.connect()
  await session.post('Profiler.enable')
  await session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false })
  await work()
  const { result } = await session.post('Profiler.takePreciseCoverage')
  session.disconnect()
  return FIRST.filter(([file, name]) =>
    result.some(
      ({ url, functions }) =>
        url.endsWith(`/src/${file}`) &&
        functions.some(({ functionName, ranges }) => {
          return functionName === name && (ranges[0]?.count ?? 0) > 0
        }),
    ),
  ).map(([file, name]) => `${file} ${name}`)
}

test('a rehearsal gets to its end, on every machine, and again', async () => {
  await rehearse(PLATFORM, NEVER)
  await rehearse({ ...PLATFORM, architecture: 'arm64' }, NEVER)
})

test('it runs what the start of a container would be the first to run', async () => {
  assert.deepEqual(await ranBy(async () => {}), [])
  const ran = await ranBy(() => rehearse(PLATFORM, NEVER))
  assert.deepEqual(
    ran,
    FIRST.map(([file, name]) => `${file} ${name}`),
  )
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
