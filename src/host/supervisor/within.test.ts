import assert from 'node:assert/strict'
import { test } from 'node:test'
import { within } from './within.ts'

test('an outcome in time is passed on, whichever it is', async () => {
  assert.equal(await within(Promise.resolve(7), 60_000), 7)
  await assert.rejects(within(Promise.reject(new Error('no')), 60_000), /no/)
})

test('what takes longer is undefined', async () => {
  assert.equal(await within(new Promise(() => {}), 1), undefined)
})

test('no timer is left', async () => {
  await within(Promise.resolve(), 60_000)
  assert.equal(process.getActiveResourcesInfo().includes('Timeout'), false)
})
