import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SESSION_MS, Sessions } from './session.ts'

test('a session gives its nonce once', () => {
  const sessions = new Sessions()
  const { id, nonce } = sessions.open(0)
  assert.equal(sessions.take(id, 1).nonce, nonce)
  assert.throws(() => sessions.take(id, 1), { code: 'KBS_SESSION_UNKNOWN' })
  assert.throws(() => sessions.take('other', 1), { code: 'KBS_SESSION_UNKNOWN' })
})

test('a session has a token only when it was attested, and ends', () => {
  const sessions = new Sessions()
  const { id } = sessions.open(0)
  assert.equal(sessions.token(id, 1), undefined)
  sessions.attested(sessions.take(id, 1), 'token', 1)
  assert.equal(sessions.token(id, SESSION_MS - 1), 'token')
  assert.equal(sessions.token(id, SESSION_MS), undefined)
  const late = sessions.open(0)
  assert.throws(() => sessions.take(late.id, SESSION_MS), { code: 'KBS_SESSION_UNKNOWN' })
})

test('a flood of sessions costs bounded memory and hits the oldest first', () => {
  const sessions = new Sessions()
  const first = sessions.open(0)
  for (let i = 0; i < 65_535; i++) sessions.open(1)
  assert.equal(sessions.size, 65_536)
  const last = sessions.open(2)
  assert.equal(sessions.size, 65_536)
  assert.throws(() => sessions.take(first.id, 3), { code: 'KBS_SESSION_UNKNOWN' })
  assert.equal(sessions.take(last.id, 3).nonce, last.nonce)
  sessions.open(SESSION_MS + 2)
  assert.equal(sessions.size, 1)
})

test('long tokens cost bounded memory too, and the oldest goes first', () => {
  const sessions = new Sessions()
  // One string of 1 MiB, counted as often as it is kept.
  const token = 'x'.repeat(1024 * 1024)
  const ids = Array.from({ length: 130 }, () => {
    const session = sessions.take(sessions.open(0).id, 1)
    sessions.attested(session, token, 1)
    return session.id
  })
  const kept = ids.filter((id) => sessions.token(id, 2) !== undefined)
  assert.deepEqual(kept, ids.slice(2))
  const later = sessions.take(sessions.open(SESSION_MS).id, SESSION_MS + 1)
  sessions.attested(later, token, SESSION_MS + 1)
  assert.equal(sessions.size, 1)
  for (let i = 0; i < 127; i++) {
    const next = sessions.take(sessions.open(SESSION_MS).id, SESSION_MS + 1)
    sessions.attested(next, token, SESSION_MS + 1)
  }
  assert.equal(sessions.token(later.id, SESSION_MS + 2), token, 'what ended gave its room back')
})
