import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { resolveUser } from './accounts.ts'

const passwd = utf8(
  [
    'root:x:0:0:root:/root:/bin/sh',
    'app:x:1000:1000::/:/bin/sh',
    'bad:x:0:0', // too few fields
    'neg:x:-1:0::/:/bin/sh',
    'max:x:4294967295:0::/:/bin/sh',
    'hex:x:0x10:0::/:/bin/sh',
    'app:x:0:0::/:/bin/sh', // the first of a name counts
    '2000:x:5:5::/:/bin/sh', // a name that looks like a number
  ].join('\n'),
)
const group = utf8('root:x:0:\nstaff:x:50:app,other\nwheel:x:10:app\napp:x:1000:app\n')
const files = { passwd, group }
const none = { passwd: undefined, group: undefined }

test('names and numbers resolve as the image specification has it', () => {
  assert.deepEqual(resolveUser('', files), { uid: 0, gid: 0, additionalGids: [] })
  assert.deepEqual(resolveUser('app', files), { uid: 1000, gid: 1000, additionalGids: [50, 10] })
  assert.deepEqual(resolveUser('1000', files), { uid: 1000, gid: 1000, additionalGids: [50, 10] })
  assert.deepEqual(resolveUser('app:wheel', files), { uid: 1000, gid: 10, additionalGids: [] })
  assert.deepEqual(resolveUser('4242', files), { uid: 4242, gid: 0, additionalGids: [] })
  assert.deepEqual(resolveUser('4242:77', files), { uid: 4242, gid: 77, additionalGids: [] })
  assert.deepEqual(resolveUser('2000', files), { uid: 5, gid: 5, additionalGids: [] })
})

test('without account files only numbers resolve', () => {
  assert.deepEqual(resolveUser('', none), { uid: 0, gid: 0, additionalGids: [] })
  assert.deepEqual(resolveUser('7:8', none), { uid: 7, gid: 8, additionalGids: [] })
  assert.throws(() => resolveUser('app', none), { code: 'LAUNCH_USER_UNKNOWN' })
})

test('unknown names, malformed lines and odd numbers never become root', () => {
  for (const user of [
    'nobody',
    'bad',
    'neg',
    'max',
    'hex',
    '-1',
    '4294967295',
    '0x0',
    '00',
    ' 0',
    'app:',
    'app:none',
    'a:b:c',
  ]) {
    assert.throws(() => resolveUser(user, files), { code: 'LAUNCH_USER_UNKNOWN' }, user)
  }
})

test('account files that are not UTF-8 do not hinder numbers', () => {
  const odd = { passwd: Uint8Array.of(0xff, 0xfe), group: undefined }
  assert.deepEqual(resolveUser('9', odd), { uid: 9, gid: 0, additionalGids: [] })
})
