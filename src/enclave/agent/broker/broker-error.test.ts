import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { refusal } from './broker-error.ts'

const upstream = (variant: string, detail = 'd') =>
  utf8(
    JSON.stringify({
      type: `https://github.com/confidential-containers/kbs/errors/${variant}`,
      detail,
    }),
  )

test('a refusal of our broker keeps code, id, next step and whether to try again', () => {
  const body = utf8(
    JSON.stringify({
      type: 'x/PolicyDeny',
      detail: 'd',
      code: 'RELEASE_NAMESPACE',
      correlationId: 'c',
      next: 'n',
      retryable: false,
    }),
  )
  const error = refusal('reading', 403, body)
  assert.deepEqual(
    [error.code, error.correlationId, error.next, error.retryable, error.status],
    ['RELEASE_NAMESPACE', 'c', 'n', false, 403],
  )
})

test('refusals of other brokers get the nearest code', () => {
  assert.equal(refusal('r', 401, upstream('PolicyDeny')).code, 'RELEASE_DENIED')
  assert.equal(refusal('r', 401, upstream('PluginInternalError')).code, 'RESOURCE_NOT_FOUND')
  assert.equal(refusal('r', 401, upstream('AttestationError')).code, 'BROKER_REFUSED')
  assert.equal(refusal('r', 404, utf8('<html>')).code, 'RESOURCE_NOT_FOUND')
  assert.equal(refusal('r', 503, utf8('')).code, 'KBS_BUSY')
})

test('only a missing or invalid token leads to a new attestation', () => {
  assert.equal(refusal('r', 401, upstream('TokenNotFound')).wantsAttestation, true)
  assert.equal(refusal('r', 401, upstream('TokenVerifierError')).wantsAttestation, true)
  assert.equal(refusal('r', 401, upstream('PolicyDeny')).wantsAttestation, false)
  assert.equal(refusal('r', 403, upstream('TokenNotFound')).wantsAttestation, false)
})

test('text of a broker reaches terminals without control characters', () => {
  const { message } = refusal('r', 401, upstream('X', 'a\u001b[31m\nb'))
  assert.equal(message, 'r: the broker refused: a [31m b')
})
