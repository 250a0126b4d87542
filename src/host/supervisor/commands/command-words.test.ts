import assert from 'node:assert/strict'
import { test } from 'node:test'
import { utf8 } from '#lib/bytes'
import { containerName, newId } from './container-name.ts'
import { envFileWords, envFlagWords, parseEnv } from './env-file.ts'
import { sinceTime, tailCount } from './log-options.ts'
import { scratchRequest } from './run-request.ts'
import { signalNumber } from './signals.ts'

const usage = { code: 'USAGE' }

test('an env file is read as docker reads it', () => {
  const text = '\ufeffA=1\r\n# no\n\n  B= x=y "z" \nHOME\nNOT_SET\ntoString\nA=2\n__proto__=p'
  const env = parseEnv(envFileWords(utf8(text), 'f'), { HOME: '/root' })
  assert.deepEqual(Object.entries(env), [
    ['A', '2'],
    ['B', ' x=y "z" '],
    ['HOME', '/root'],
    ['__proto__', 'p'],
  ])
})

test('what is no variable is refused by its place, never shown: it may be a secret', () => {
  for (const [text, place] of [
    ['A=1\ns3cret word\n', 'f, line 2'],
    ['=s3cret', 'f, line 1'],
    ['A=s3cret\0', 'f, line 1'],
  ] as const) {
    assert.throws(
      () => parseEnv(envFileWords(utf8(text), 'f'), {}),
      (error: Error & { code: string }) =>
        error.code === 'USAGE' &&
        error.message.includes(place) &&
        !error.message.includes('s3cret'),
    )
  }
  assert.throws(() => parseEnv(envFlagWords(['A=1', 'b c']), {}), { message: /-e, number 2/ })
  assert.throws(() => envFileWords(Uint8Array.of(0x41, 0xff), 'f'), { code: 'INPUT_UNREADABLE' })
})

test('--scratch has a kind and perhaps a size, in whole blocks and inside what there may be', () => {
  assert.deepEqual(scratchRequest(undefined), {})
  assert.deepEqual(scratchRequest('disk'), { scratch: { kind: 'disk' } })
  assert.deepEqual(scratchRequest('tmpfs:64m'), { scratch: { kind: 'tmpfs', size: 2 ** 26 } })
  assert.deepEqual(scratchRequest('DISK:2G'), { scratch: { kind: 'disk', size: 2 ** 31 } })
  assert.deepEqual(scratchRequest('disk:16777217'), {
    scratch: { kind: 'disk', size: 2 ** 24 + 4096 },
  })
  const wrong = ['', 'ext4', 'disk:', 'disk:1', 'disk:15m', 'disk:257g', 'tmpfs:1k', 'tmpfs:2000g']
  for (const word of [...wrong, 'disk:-1', 'disk:1t', 'tmpfs:1 m', 'tmpfs:1e9']) {
    assert.throws(() => scratchRequest(word), usage, word)
  }
})

test('signalNumber() knows names, numbers and real-time signals', () => {
  assert.deepEqual(
    ['KILL', 'sigterm', '9', 'RTMIN', 'SIGRTMIN+3', 'rtmax-1', 'RTMAX'].map(signalNumber),
    [9, 15, 9, 34, 37, 63, 64],
  )
  for (const text of ['', '0', '65', '-9', 'NOPE', 'toString', 'RTMIN-1', 'RTMAX+1', '9x']) {
    assert.throws(() => signalNumber(text), usage, text)
  }
})

test('sinceTime() takes times and spans, tailCount() numbers and all', () => {
  assert.equal(sinceTime('1h30m', 10_000_000), 10_000_000 - 5_400_000)
  assert.equal(sinceTime('2d', 0), -172_800_000)
  assert.equal(sinceTime('2026-01-01T00:00:00Z', 0), Date.UTC(2026, 0, 1))
  for (const text of ['', '5', '5x', 'yesterday', '-1s']) {
    assert.throws(() => sinceTime(text, 0), usage, text)
  }
  assert.equal(tailCount('all'), undefined)
  assert.equal(tailCount('0'), 0)
  for (const text of ['-1', '1.5', 'x', '']) assert.throws(() => tailCount(text), usage, text)
})

test('containerName() makes a readable name of an id, and refuses what could be a path or a flag', () => {
  const id = newId()
  assert.match(containerName(undefined, id), /^[a-z]+-[a-z]+-[0-9a-f]{4}$/)
  assert.equal(containerName('db_1.x-y', id), 'db_1.x-y')
  for (const name of ['', '-x', '.x', 'a/b', '../x', 'a b', 'x'.repeat(129), 'a\n']) {
    assert.throws(() => containerName(name, id), usage, name)
  }
})
