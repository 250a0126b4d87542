import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AUDIT_START, chainHash } from './audit-chain.ts'
import { openSqliteStore } from './sqlite.ts'

const open = () => openSqliteStore(':memory:', { now: () => Date.UTC(2026, 0, 1) })
const name = { namespace: 'acme', type: 'note', tag: 'a' }
const put = (value: number, extra = {}) =>
  ({ op: 'put-resource', name, value: Uint8Array.of(value), size: 1, ...extra }) as const

test('a resource has versions, and a deleted one is gone but remembered', async () => {
  const store = open()
  assert.deepEqual(await store.commit([put(1)], { event: 'set' }), [1])
  assert.deepEqual(await store.commit([put(2)], { event: 'set' }), [2])
  assert.deepEqual((await store.resource(name))?.value, Uint8Array.of(2))
  assert.deepEqual((await store.resource(name, 1))?.value, Uint8Array.of(1))
  await store.commit([{ op: 'delete-resource', name }], { event: 'delete' })
  assert.equal(await store.resource(name), undefined)
  assert.deepEqual(await store.resources(), [])
  assert.deepEqual(
    (await store.history(name)).map((v) => [v.version, v.deleted]),
    [
      [1, false],
      [2, false],
      [3, true],
    ],
  )
  assert.deepEqual(await store.commit([put(4, { create: true })], { event: 'set' }), [4])
  assert.equal((await store.resources()).length, 1)
  await store.close()
})

test('a commit that fails changes nothing, not even the log, and harms none beside it', async () => {
  const store = open()
  const [first, second, third] = await Promise.allSettled([
    store.commit([put(1, { create: true })], { n: 1 }),
    store.commit(
      [{ op: 'put-document', kind: 'root', id: 'r', document: {} }, put(2, { create: true })],
      { n: 2 },
    ),
    store.commit([{ op: 'put-decision', id: 'd', document: { ok: true } }], { n: 3 }),
  ])
  assert.deepEqual(
    [first.status, second.status, third.status],
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  assert.equal(
    ((second as PromiseRejectedResult).reason as { code: string }).code,
    'RESOURCE_EXISTS',
  )
  assert.equal(await store.document('root', 'r'), undefined)
  assert.deepEqual(await store.decision('d'), { ok: true })
  assert.equal((await store.audit(0, 10)).length, 2)
  await store.close()
})

test('every commit adds one entry to the hash chain', async () => {
  const store = open()
  assert.equal(await store.auditHead(), undefined)
  for (let n = 0; n < 5; n++) await store.commit([], { n })
  const entries = await store.audit(0, 100)
  let hash = AUDIT_START
  for (const [i, entry] of entries.entries()) {
    hash = chainHash(hash, entry.text)
    assert.deepEqual([entry.seq, entry.hash], [i + 1, hash])
  }
  assert.equal((await store.auditHead())?.seq, 5)
  assert.equal((await store.audit(3, 1))[0]?.seq, 4)
  await store.close()
})
