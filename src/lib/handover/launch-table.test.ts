import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { LaunchTable, type OpenSession, unusable } from './launch-table.ts'
import { keyPair } from './x25519.ts'

const OFFER = { podId: 'p', containerId: 'c', manifestDigest: `sha256:${'0'.repeat(64)}` }

function bytes(text: string): Uint8Array {
  return new Uint8Array(createHash('sha256').update(text).digest())
}

function open(): OpenSession {
  const nothing = new Uint8Array(0)
  const hello = { launchId: nothing, nonce: nothing, publicKey: nothing, targetInfo: nothing }
  return { hello, pair: keyPair(new Uint8Array(32).fill(1)), own: nothing, ownData: nothing }
}

/** A launch with two sessions, still NEW. */
function started(table: LaunchTable, name: string) {
  const plain = new Uint8Array(8).fill(7)
  table.add(bytes(name), { offer: OFFER, deadline: 60, plain })
  const launch = table.launch(bytes(name))
  assert.ok(launch)
  table.open(launch, bytes(`${name} 1`), open())
  table.open(launch, bytes(`${name} 2`), open())
  return { launch, plain }
}

const first = (name: string): Uint8Array => bytes(`${name} 1`).subarray(0, 16)

test('launches that have ended are known up to a bound, and their sessions go with them', () => {
  const table = new LaunchTable()
  const count = 3000
  for (let i = 0; i < count; i++) {
    const { launch } = started(table, `${i}`)
    table.spend(launch, 90)
    table.end(launch, 'SERVED')
  }
  assert.equal(table.size, 1024 * 3)
  assert.equal(table.halfOpen, 0)
  assert.equal(table.launch(bytes(`${count - 1024}`))?.state, 'SERVED')
  assert.equal(table.session(first(`${count - 1024}`)).open, undefined)
  assert.equal(table.launch(bytes(`${count - 1025}`)), undefined)
  assert.throws(() => table.session(first(`${count - 1025}`)), { code: 'HANDOVER_REFUSED' })
})

test('a launch that is not over is never forgotten for those that are', () => {
  const table = new LaunchTable()
  started(table, 'waiting')
  for (let i = 0; i < 2000; i++) table.end(started(table, `${i}`).launch, 'EXPIRED')
  assert.equal(table.launch(bytes('waiting'))?.state, 'NEW')
  assert.notEqual(table.session(first('waiting')).open, undefined)
})

test('no session keeps its key when its launch is spent, expires or is lost', () => {
  const table = new LaunchTable()
  const spent = started(table, 'spent')
  const expired = started(table, 'expired')
  assert.equal(table.halfOpen, 4)
  assert.equal(table.spend(spent.launch, 30), spent.plain, 'handed out, not wiped')
  assert.equal(table.session(first('spent')).open, undefined)
  assert.deepEqual(table.expire(60), [
    { containerId: 'c', state: 'LOST' },
    { containerId: 'c', state: 'EXPIRED' },
  ])
  assert.equal(table.halfOpen, 0)
  assert.deepEqual(expired.plain, new Uint8Array(8), 'wiped')
  assert.deepEqual(table.expire(1000), [], 'told once')
  assert.equal(unusable(expired.launch.state).code, 'HANDOVER_EXPIRED')
  assert.equal(unusable(spent.launch.state).code, 'HANDOVER_SPENT')
})

test('what is served or cleared holds no key any more', () => {
  const table = new LaunchTable()
  const [served, waiting] = [started(table, 'served'), started(table, 'waiting')]
  table.spend(served.launch, 90)
  assert.equal(served.launch.plain, undefined)
  const receive = new Uint8Array(32).fill(9)
  const t = bytes('t')
  served.launch.answer = { t3: t, message: new Uint8Array(8), confirmed: t, receive }
  table.end(served.launch, 'SERVED')
  assert.deepEqual(receive, new Uint8Array(32))
  assert.equal(served.launch.answer, undefined)
  table.clear()
  assert.deepEqual(waiting.plain, new Uint8Array(8), 'wiped')
  assert.equal(waiting.launch.state, 'EXPIRED', 'for a message that is being judged')
  assert.equal(table.size, 0)
})
