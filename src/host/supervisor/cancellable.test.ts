import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cancellable } from './cancellable.ts'

test('cancellable() gives the outcome, or the reason of an abort that comes first', async () => {
  const { signal } = new AbortController()
  assert.equal(await cancellable(Promise.resolve(1), signal), 1)
  await assert.rejects(cancellable(Promise.reject(new Error('own')), signal), /own/)
  const abort = new AbortController()
  const waiting = cancellable(new Promise(() => {}), abort.signal)
  abort.abort(new Error('enough'))
  await assert.rejects(waiting, /enough/)
})

test('what fails after it was called off, even before it was waited for, ends no process', async () => {
  const unhandled: unknown[] = []
  const note = (error: unknown): void => void unhandled.push(error)
  process.on('unhandledRejection', note)
  const late = Promise.withResolvers<void>()
  await assert.rejects(cancellable(late.promise, AbortSignal.abort(new Error('enough'))), /enough/)
  late.reject(new Error('late'))
  await new Promise(setImmediate)
  process.off('unhandledRejection', note)
  assert.deepEqual(unhandled, [])
})
