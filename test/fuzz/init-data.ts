import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { parseInitData, serializeInitData } from '#lib/initdata'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const PIN = `sha256/${'A'.repeat(43)}=`
const broker = { url: 'https://127.0.0.1:8080', pins: [PIN], namespace: 'acme' }

/** An init-data document: a typed error, or one that says the same when written again, all inside its namespace. */
export const target: FuzzTarget = {
  format: 'init-data',
  seeds: () => [
    utf8(serializeInitData({ broker })),
    utf8(
      serializeInitData({
        broker,
        resources: { credentials: { namespace: 'acme', type: 'credential', tag: 'second' } },
      }),
    ),
  ],
  run: fuzzInitData,
}

function fuzzInitData(data: Uint8Array): void {
  const found = parseInitData(data)
  assert.deepEqual(parseInitData(serializeInitData(found)), found)
  for (const { namespace } of Object.values(found.resources)) {
    assert.equal(namespace, found.broker.namespace)
  }
}
