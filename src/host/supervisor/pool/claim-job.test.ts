import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, type TestContext, test } from 'node:test'
import { jsonLine } from '#lib/json-lines'
import { channelLines } from '../channel.ts'
import type { JobEvent, JobOrder, RunJob } from '../job.ts'
import type { StartedJob } from '../start-job.ts'
import { claimJob } from './claim-job.ts'

const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-claim-'))
after(() => rmSync(folder, { recursive: true }))
const JOB = { kind: 'run', root: folder } as unknown as RunJob
const EXIT = { event: 'exit' } as JobEvent

interface Claim {
  readonly job: StartedJob
  /** The spare's end, and what it has heard. */
  readonly spare: Socket
  readonly heard: JobOrder[]
  /** How often a supervisor was started instead, and what that was told. */
  readonly cold: JobOrder[][]
}

let count = 0

async function claim(t: TestContext): Promise<Claim> {
  const path = join(folder, String(count++))
  const server = createServer().listen(path)
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const socket = connect(path)
  socket.on('error', () => {})
  const [spare] = (await accepted) as [Socket]
  spare.on('error', () => {})
  t.after(() => {
    for (const each of [socket, spare]) each.destroy()
    server.close()
  })
  const heard: JobOrder[] = []
  void (async () => {
    for await (const line of channelLines(spare)) heard.push(line as unknown as JobOrder)
  })().catch(() => {})
  const cold: JobOrder[][] = []
  const startCold = (): StartedJob => {
    const orders: JobOrder[] = []
    cold.push(orders)
    async function* events(): AsyncGenerator<JobEvent> {
      yield EXIT
    }
    return { events: events(), order: (order) => void orders.push(order), detach: () => {} }
  }
  const lines = channelLines(socket)
  const claimable = { socket, lines, [Symbol.dispose]: () => void socket.destroy() }
  return { job: claimJob(claimable, JOB, startCold), spare, heard, cold }
}

async function heard(claim: Claim, lines: number): Promise<void> {
  while (claim.heard.length < lines) await new Promise(setImmediate)
}

async function eventsOf({ job }: Claim): Promise<readonly JobEvent[]> {
  return await Array.fromAsync(job.events)
}

test('a spare that answers is told to go, once, and hears and says everything from then on', async (t) => {
  const claimed = await claim(t)
  const events = eventsOf(claimed)
  claimed.spare.write(jsonLine({ event: 'claimed' }))
  await heard(claimed, 2)
  claimed.job.order({ op: 'signal', signal: 15 })
  await heard(claimed, 3)
  claimed.spare.end(jsonLine(EXIT))
  assert.deepEqual(await events, [EXIT])
  assert.deepEqual(claimed.heard, [JOB, { op: 'go' }, { op: 'signal', signal: 15 }])
  assert.deepEqual(claimed.cold, [])
})

test('one that ends, or says something else, is not told to go, and a supervisor is started', async (t) => {
  for (const answer of [undefined, 'no JSON\n', jsonLine({ event: 'failed' }), '[]\n']) {
    const refused = await claim(t)
    const events = eventsOf(refused)
    if (answer === undefined) refused.spare.destroy()
    else refused.spare.write(answer)
    assert.deepEqual(await events, [EXIT])
    assert.deepEqual(refused.cold, [[]])
    refused.job.order({ op: 'cancel' })
    assert.deepEqual(refused.cold, [[{ op: 'cancel' }]])
    assert.ok(!refused.heard.some(({ op }) => op === 'go'))
  }
})

test('one that says nothing for two seconds is let go', async (t) => {
  const silent = await claim(t)
  const closed = once(silent.spare, 'close')
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const events = eventsOf(silent)
  await heard(silent, 1)
  t.mock.timers.tick(1999)
  assert.deepEqual(silent.cold, [])
  t.mock.timers.tick(1)
  assert.deepEqual(await events, [EXIT])
  assert.equal(silent.cold.length, 1)
  await closed
  assert.deepEqual(silent.heard, [JOB])
})

test('an interrupt while it is waited for ends the job at once, and nothing is started', async (t) => {
  const interrupted = await claim(t)
  const closed = once(interrupted.spare, 'close')
  const events = eventsOf(interrupted)
  interrupted.job.order({ op: 'cancel' })
  const [last, ...more] = await events
  assert.ok(last?.event === 'failed')
  assert.deepEqual([last.code, more], ['INTERRUPTED', []])
  assert.deepEqual(interrupted.cold, [])
  await closed
  const detached = await claim(t)
  detached.job.detach()
  assert.deepEqual(await eventsOf(detached), [])
  assert.deepEqual(detached.cold, [])
})

test('an answer that is read too late, since the command was stopped meanwhile, is none', async (t) => {
  const claimed = await claim(t)
  const events = eventsOf(claimed)
  await heard(claimed, 1)
  const now = performance.now()
  t.mock.method(performance, 'now', () => now + 2000)
  claimed.spare.write(jsonLine({ event: 'claimed' }))
  assert.deepEqual(await events, [EXIT])
  assert.equal(claimed.cold.length, 1)
  assert.equal(claimed.heard.length, 1, 'it is not told to go')
})
