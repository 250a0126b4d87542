import assert from 'node:assert/strict'
import { test } from 'node:test'
import { endInit } from './enclave-end.ts'

type Init = Parameters<typeof endInit>[0]
type End = Awaited<Init['process']['ended']>

function init(shutdown: Init['calls']['shutdown'], ended: Promise<End>): Init & { kills: number } {
  const found = {
    calls: { shutdown },
    kills: 0,
    process: {
      ended,
      async kill() {
        found.kills++
      },
    },
  }
  return found
}

async function settled(): Promise<void> {
  await new Promise(setImmediate)
}

test('an init that answers nothing is killed when its time is over, and not after as much again', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const stopped = init(
    (_, options) =>
      new Promise((_resolve, reject) => void setTimeout(reject, options?.timeoutMs ?? Infinity)),
    new Promise(() => {}),
  )
  const end = endInit(stopped, 1000)
  await settled()
  t.mock.timers.tick(999)
  await settled()
  assert.equal(stopped.kills, 0)
  t.mock.timers.tick(1)
  await settled()
  assert.equal(stopped.kills, 1)
  await end
})

test('an init that ends is waited for no longer; one that says it will has the rest of its time', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const ended = Promise.withResolvers<End>()
  const slow = init(async () => ({}), ended.promise)
  const end = endInit(slow, 1000)
  await settled()
  t.mock.timers.tick(900)
  await settled()
  assert.equal(slow.kills, 0)
  ended.resolve({ code: 0, signal: null })
  await end
  assert.equal(slow.kills, 1)
})
