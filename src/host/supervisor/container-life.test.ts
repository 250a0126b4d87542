import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ContainerLife } from './container-life.ts'
import type { ContainerRecord } from './record.ts'
import type { ContainerStore } from './store.ts'

const RECORD = { name: 'db', state: 'created', stopTimeout: 10 } as unknown as ContainerRecord

function life(): { life: ContainerLife; abort: AbortController; saved: ContainerRecord[] } {
  const saved: ContainerRecord[] = []
  const store = { save: (r: ContainerRecord) => void saved.push(r) } as unknown as ContainerStore
  const abort = new AbortController()
  return { life: new ContainerLife(store, RECORD, abort), abort, saved }
}

function program(onKill: (signal: number, all: boolean) => void = () => {}): {
  kill(signal: number, all: boolean): Promise<void>
  abandon(): Promise<void>
} {
  return { kill: async (signal, all) => onKill(signal, all), abandon: async () => {} }
}

test('stop before there is a program gives the start up, and resolves when all is gone', async () => {
  const { life: it, abort } = life()
  await assert.rejects(it.kill(15), { code: 'CONTAINER_NOT_RUNNING' })
  let done = false
  const stopped = it.stop(10).then(() => {
    done = true
  })
  assert.equal((abort.signal.reason as { code: string }).code, 'INTERRUPTED')
  await Promise.resolve()
  assert.equal(done, false)
  it.leave(125)
  await stopped
  assert.equal(await it.wait(), 125)
  assert.equal(it.cancelled, false)
})

test('stop sends the stop signal once, and no KILL to a program that ends', async () => {
  const { life: it, saved } = life()
  const signals: unknown[] = []
  it.run(
    program((...call) => {
      signals.push(call)
      it.end()
    }),
    { pid: 5 },
  )
  assert.equal(saved.at(-1)?.state, 'running')
  const both = Promise.all([it.stop(600), it.stop(600)])
  await new Promise(setImmediate)
  it.leave(0)
  await both
  assert.deepEqual(signals, [[0, false]])
})

test('stop without time kills all at once, even while another stop waits', async () => {
  const { life: it } = life()
  const signals: unknown[] = []
  it.run(
    program((...call) => {
      signals.push(call)
      if (call[0] === 9) it.leave(137)
    }),
    {},
  )
  const patient = it.stop(600)
  await it.stop(0)
  await patient
  assert.deepEqual(signals, [
    [0, false],
    [9, true],
  ])
})

test('what was given up just before its program started is ended at once', async () => {
  const { life: it } = life()
  it.cancel()
  const signals: number[] = []
  it.run(
    program((signal) => {
      signals.push(signal)
      it.leave(143)
    }),
    {},
  )
  await it.wait()
  assert.deepEqual(signals, [0])
  assert.equal(it.cancelled, true)
})
