import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CodedError } from '#lib/errors'
import { damagedFiles, damageOf } from './damage.ts'

const LAYERS = ['a.sealed', 'b.sealed'].map((file) => ({ digest: '', cached: true, file }))

test('damagedFiles() forgets the layer that was named, of those that the agent prepared', () => {
  for (const code of ['ROOTFS_TAMPERED', 'SEALED_MISMATCH']) {
    assert.deepEqual(damagedFiles(LAYERS, { code, damaged: 'b.sealed' }), ['b.sealed'])
  }
})

test('damagedFiles() forgets nothing for a scratch, or where nothing was damaged', () => {
  assert.deepEqual(damagedFiles(LAYERS, { code: 'ROOTFS_TAMPERED', damaged: 'scratch' }), [])
  for (const code of [undefined, 'INTERNAL', 'DISK_FULL']) {
    assert.deepEqual(damagedFiles(LAYERS, { code, damaged: 'b.sealed' }), [])
  }
})

test('damagedFiles() forgets all that the agent prepared, and nothing else, where it is not told one of them', () => {
  for (const damaged of [undefined, '', 'of-another-pod.sealed', 7, ['a.sealed']]) {
    const files = damagedFiles(LAYERS, { code: 'ROOTFS_TAMPERED', damaged })
    assert.deepEqual(files, ['a.sealed', 'b.sealed'])
  }
})

test('damageOf() takes it from the details of a start that failed', () => {
  const details = { damaged: 'a.sealed' }
  const error = new CodedError('SEALED_MISMATCH', 'opening', { details })
  assert.deepEqual(damagedFiles(LAYERS, damageOf(error)), ['a.sealed'])
  assert.equal(damagedFiles(LAYERS, damageOf(new CodedError('SEALED_MISMATCH', 'x'))).length, 2)
})
