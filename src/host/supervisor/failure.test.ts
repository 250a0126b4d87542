import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError } from '#lib/errors'
import { exitCodeOf, failureOf } from './failure.ts'

test('failureOf() keeps what a coded error says, and cuts what is endless', () => {
  const error = new CodedError('RESOURCE_NOT_FOUND', 'x'.repeat(10_000), {
    correlationId: 'c1',
    retryable: false,
    details: { a: 1 },
  })
  const { message, ...rest } = failureOf(error)
  assert.deepEqual(rest, {
    code: 'RESOURCE_NOT_FOUND',
    correlationId: 'c1',
    retryable: false,
    details: { a: 1 },
  })
  assert.equal(message.length, 4000)
})

test('failureOf() names a lost enclave, a full disk and a defect', () => {
  assert.equal(failureOf(new CodedError('TTRPC_CLOSED', 'x')).code, 'ENCLAVE_LOST')
  const full = Object.assign(new Error('no space'), { code: 'ENOSPC' })
  assert.equal(failureOf(full).code, 'DISK_FULL')
  assert.deepEqual(failureOf(new TypeError('t')), { code: 'INTERNAL', message: 't' })
})

test('exitCodeOf() believes an enclave only docker’s codes for its program', () => {
  const code = (exitCode: unknown): number =>
    exitCodeOf(new CodedError('X', 'x', { details: { exitCode } }))
  assert.deepEqual([127, 126, 125, 0, 1, 'x'].map(code), [127, 126, 125, 125, 125, 125])
  assert.equal(exitCodeOf(undefined), 125)
})
