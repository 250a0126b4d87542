import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { JsonValue } from '#lib/json'
import { jobEvents } from './job-events.ts'

async function* channel(...values: readonly unknown[]): AsyncGenerator<JsonValue> {
  for (const value of values) yield value as JsonValue
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
  const broken = (async function* (): AsyncGenerator<JsonValue> {
    yield STEP
    throw new Error('ECONNRESET')
  })()
  await assert.rejects(Array.fromAsync(jobEvents(broken, '/x.log')), lost)
})
