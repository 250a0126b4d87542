import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { concat, toHex, utf8 } from '#lib/bytes'
import { manifestBytes } from '#lib/manifest'
import type { Mounts } from '#platform/mount'
import type { Reaper } from '#platform/process'
import { localPlatform } from '../../../test/support/local-tee.ts'
import { createInitService } from './init-service.ts'
import type { ServePool } from './serve-pool.ts'

const sha256 = (bytes: Uint8Array) => new Uint8Array(createHash('sha256').update(bytes).digest())
const context = { signal: new AbortController().signal, metadata: [] } as const
const initData = utf8('init-data')
const manifest = manifestBytes({
  version: 1,
  program: 'init',
  image: { sha256: toHex(new Uint8Array(32)), size: 1 },
  entry: '/usr/bin/node',
  args: [],
  env: {},
  attributes: { debug: false },
  isvProdId: 2,
  isvSvn: 1,
  builtAt: 1_700_000_000,
  peers: { agent: { mrSigner: toHex(new Uint8Array(32)), isvProdId: 1, minIsvSvn: 1 } },
})

/** An init that has yet to be configured; its work for later, and whether that was called off. */
function newInit() {
  const later: { work?: () => Promise<void>; cancelled: boolean } = { cancelled: false }
  const configId = concat(sha256(initData), new Uint8Array(32))
  const service = createInitService({
    tee: localPlatform(new Uint8Array(16)).tee({ mrEnclave: sha256(manifest), configId }),
    quoteProgram: '/nonexistent',
    later: (work) => {
      later.work = () => work(new AbortController().signal)
      return {
        cancel: () => {
          later.cancelled = true
        },
      }
    },
    mounts: {} as Mounts,
    reaper: {} as Reaper,
    pool: { end: async () => {} } as unknown as ServePool,
    ...{ base: '/nonexistent', spool: '/nonexistent', cache: '/nonexistent' },
    ...{ runc: '/nonexistent', mke2fs: '/nonexistent', cat: '/nonexistent' },
  })
  return { service, later }
}

test('an init that waits rehearses its handover, and begins the real one all the same', async () => {
  const { service, later } = newInit()
  assert.equal(typeof later.work, 'undefined')
  await service.handlers.configure({ manifest, initData }, context)
  assert.ok(later.work)
  await later.work()
  const { message } = await service.handlers.begin({ launchId: new Uint8Array(32) }, context)
  assert.ok(message.length > 0)
  assert.equal(later.cancelled, true)
  await service.close()
})

test('an init that ends does not rehearse', async () => {
  const { service, later } = newInit()
  await service.handlers.configure({ manifest, initData }, context)
  await service.close()
  assert.equal(later.cancelled, true)
})
