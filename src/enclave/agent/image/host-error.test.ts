import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError } from '#lib/errors'
import { BrokerError } from '../broker/broker-error.ts'
import { hostError } from './host-error.ts'

const content = { content: true, explain: false, decisionId: 'd1' }
const shown = (error: unknown, showing = content) => hostError(error, showing) as CodedError

test('after the launch decision every fault of content looks alike', () => {
  for (const code of [
    'LAYER_MAC_MISMATCH',
    'TAR_FORMAT',
    'PACKET_NOT_FOR_KEY',
    'KEY_INVALID',
    'KEK_INVALID',
    'FORMAT_LIMIT',
    'IMAGE_DIGEST_MISMATCH',
  ]) {
    const error = shown(new CodedError(code, 'a path inside the image'))
    assert.equal(error.code, 'IMAGE_REJECTED')
    assert.equal(error.message, shown(new TypeError('x')).message)
    assert.equal(error.correlationId, 'd1')
    assert.equal(error.details, undefined)
  }
})

test('network, registry, disk and decisions stay what they are', () => {
  for (const code of [
    'NETWORK_BROKEN',
    'TLS_UNTRUSTED',
    'REGISTRY_DENIED',
    'DISK_FULL',
    'KEY_USE_REFUSED',
  ]) {
    assert.equal(shown(new CodedError(code, 'x')).code, code)
  }
})

test('a refusal of the broker is shown even if ocicrypt has collected it among others', () => {
  const denied = new BrokerError(
    'RELEASE_DENIED',
    'x',
    { status: 403, variant: 'PolicyDeny' },
    { correlationId: 'b1' },
  )
  const fault = new CodedError('PACKET_NOT_FOR_KEY', 'x')
  const one = new CodedError('LAYER_KEY_UNAVAILABLE', 'x', { cause: denied })
  const many = new CodedError('LAYER_KEY_UNAVAILABLE', 'x', {
    cause: new AggregateError([fault, denied]),
  })
  for (const error of [shown(one), shown(many)]) {
    assert.equal(error.code, 'RELEASE_DENIED')
    assert.equal(error.correlationId, 'b1')
  }
  const none = new CodedError('LAYER_KEY_UNAVAILABLE', 'x', { cause: fault })
  assert.equal(shown(none).code, 'IMAGE_REJECTED')
})

test('with explain the cause is among the details', () => {
  const error = shown(new CodedError('LAYER_MAC_MISMATCH', 'm'), { ...content, explain: true })
  assert.deepEqual(error.details, { cause: 'm [LAYER_MAC_MISMATCH]', code: 'LAYER_MAC_MISMATCH' })
})

test('before the launch decision errors keep their code and get the id of the report', () => {
  const error = shown(new CodedError('SIGNATURE_MISSING', 'm', { next: 'n' }), {
    ...content,
    content: false,
  })
  assert.deepEqual([error.code, error.next, error.correlationId], ['SIGNATURE_MISSING', 'n', 'd1'])
})
