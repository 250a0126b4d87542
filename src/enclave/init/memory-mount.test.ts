import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemError } from '#platform/ffi'
import type { MountRequest } from '#platform/mount'
import { mountMemory } from './memory-mount.ts'

const EINVAL = 22
const ENOMEM = 12

function refusing(errno: number): { mounts: Parameters<typeof mountMemory>[0]; data: string[] } {
  const data: string[] = []
  const mount = (request: MountRequest): void => {
    if (request.data?.includes('noswap') && errno !== 0) {
      throw new SystemError('mount', request.target, errno)
    }
    data.push(request.data ?? '')
  }
  return { mounts: { mount, unmount: () => {} }, data }
}

test('mountMemory() asks for pages that are never swapped, and does without where it must', () => {
  const request = { source: 's', target: '/t', flags: 0, data: 'mode=700' }
  const able = refusing(0)
  assert.equal(mountMemory(able.mounts, request), true)
  assert.deepEqual(able.data, ['mode=700,noswap'])
  const older = refusing(EINVAL)
  assert.equal(mountMemory(older.mounts, request), false)
  assert.deepEqual(older.data, ['mode=700'])
  assert.throws(() => mountMemory(refusing(ENOMEM).mounts, request), { code: 'ENOMEM' })
})
