import assert from 'node:assert/strict'
import { test } from 'node:test'
import { jsonLine } from '#lib/json-lines'
import { jobEvents } from './job-events.ts'

async function* channel(...values: readonly unknown[]): AsyncGenerator<Uint8Array> {
  for (const value of values) yield jsonLine(value)
}

const STEP = { event: 'progress', step: 'attest' }

test('jobEvents() ends after the last event, whatever follows', async () => {
  for (const event of ['failed', 'exit', 'attested']) {
    const events = await Array.fromAsync(jobEvents(channel(STEP, { event }, STEP), 'log'))
    assert.deepEqual(events, [STEP, { event }])
  }
})

test('jobEvents() of a supervisor that dies without a word is SUPERVISOR_LOST, and names the log', async () => {
  const lost = { code: 'SUPERVISOR_LOST', next: /see \/x\.log/ }
  await assert.rejects(Array.fromAsync(jobEvents(channel(STEP), '/x.log')), lost)
  const broken = (async function* (): AsyncGenerator<Uint8Array> {
    yield jsonLine(STEP)
    throw new Error('ECONNRESET')
  })()
  await assert.rejects(Array.fromAsync(jobEvents(broken, '/x.log')), lost)
})
