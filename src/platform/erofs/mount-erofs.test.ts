import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SystemError } from '#platform/ffi'
import type { Mounts } from '#platform/mount'
import { mountErofs } from './mount-erofs.ts'

/** Mounts of a kernel that answers with this errno. */
const kernel = (errno: number): Mounts => ({
  mount({ type, target }) {
    throw new SystemError('mount', `${type} on ${target}`, errno)
  },
  unmount: () => {},
})

test('mountErofs() names what the machine lacks, and lets errors of the image through', () => {
  for (const [errno, code, found] of [
    [19, 'EROFS_MISSING', /no such filesystem \(ENODEV\)/],
    [1, 'EROFS_MISSING', /not permitted here \(EPERM\)/],
    [5, 'EIO', /erofs on \/target/],
    [22, 'EINVAL', /erofs on \/target/],
  ] as const) {
    const refusal = { code, message: found }
    assert.throws(() => mountErofs(kernel(errno), '/file', '/target'), refusal)
  }
})

test('mountErofs() asks for a read-only mount without devices, whatever else is asked for', () => {
  const asked: number[] = []
  const mounts: Mounts = { mount: ({ flags }) => void asked.push(flags), unmount: () => {} }
  assert.equal(mountErofs(mounts, '/file', '/target', 1024), 'file')
  assert.deepEqual(asked, [1 | 4 | 1024])
})
