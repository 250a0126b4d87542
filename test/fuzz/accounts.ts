import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'
import { resolveUser } from '../../src/enclave/init/accounts.ts'

const USERS = ['', '0', 'app', 'app:web', '1000:1000', '4294967294']

/** /etc/passwd and /etc/group of an image, with a NUL between them: a typed error, or ids that the kernel takes. */
export const target: FuzzTarget = { format: 'accounts', seeds, run: fuzzAccounts }

function* seeds(): Generator<Uint8Array> {
  const passwd = 'root:x:0:0:root:/root:/bin/sh\napp:x:1000:1001::/:/bin/false\n'
  yield utf8(`${passwd}\0root:x:0:\nweb:x:33:app,root\napp:x:1001:\n`)
}

function fuzzAccounts(data: Uint8Array): void {
  const end = data.indexOf(0)
  const passwd = end < 0 ? data : data.subarray(0, end)
  const group = end < 0 ? undefined : data.subarray(end + 1)
  // numbers need no entry, so only the names may be unknown
  for (const user of USERS.filter((name) => /^\d*(?::\d+)?$/.test(name))) {
    const { uid, gid, additionalGids } = resolveUser(user, { passwd, group })
    for (const id of [uid, gid, ...additionalGids]) assert.ok(id >= 0 && id <= 0xfffffffe)
  }
  for (const user of USERS) resolveUser(user, { passwd, group })
}
