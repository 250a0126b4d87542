import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Mounts } from '#platform/mount'
import type { ServePool } from './serve-pool.ts'
import { Workspace } from './workspace.ts'

const SIZE = 2 ** 24

/** A workspace that cannot be opened; what was tried with its mounts is in the list. */
function workspace(): Workspace {
  const pool = { ready: () => Promise.reject(new Error('no threads')), end: async () => {} }
  return new Workspace({
    mounts: {} as Mounts,
    pool: pool as unknown as ServePool,
    base: '/nonexistent/enclave-cc-workspace',
    spool: '/nonexistent',
    mke2fs: '/nonexistent',
    cat: '/nonexistent',
  })
}

test('a host cannot slip a scratch on disk under a launch that wants memory', async () => {
  const place = workspace()
  const opening = place.open({ kind: 'tmpfs', size: SIZE })
  await assert.rejects(place.prepare(SIZE), { code: 'INIT_STATE' })
  await assert.rejects(opening, { code: 'ROOTFS_MOUNT_FAILED' })
  await assert.rejects(place.prepare(SIZE), { code: 'INIT_STATE' })
  await place.close()
})

test('a scratch is prepared once, in the sizes that there are, and not at the end', async () => {
  const place = workspace()
  for (const size of [0, SIZE - 4096, 2 ** 38 + 4096, Number.NaN]) {
    await assert.rejects(place.prepare(size), { code: 'INIT_STATE' })
  }
  const preparing = assert.rejects(place.prepare(SIZE), { code: 'ROOTFS_MOUNT_FAILED' })
  await assert.rejects(place.prepare(SIZE), { code: 'INIT_STATE' })
  await assert.rejects(place.open({ kind: 'disk', size: 2 * SIZE }), { code: 'INIT_STATE' })
  await preparing
  await place.close()
  const closed = workspace()
  await closed.close()
  await assert.rejects(closed.prepare(SIZE), { code: 'INIT_STATE' })
})
