import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { test } from 'node:test'
import { toBase64Url, utf8 } from '#lib/bytes'
import { decisionProven, proveDecision } from './decision-proof.ts'
import { parseTeeKey, type TeeKey } from './tee-key.ts'

const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const key = keyOf(pair.publicKey)
const report = utf8('{"decision":"allow"}')

function keyOf(publicKey: typeof pair.publicKey): TeeKey {
  return parseTeeKey({ ...publicKey.export({ format: 'jwk' }), alg: 'ECDH-ES+A256KW' })
}

test('a proof holds for its key, its token and its bytes, and for nothing else', () => {
  const proof = proveDecision(pair.privateKey, 'a.b.c', report)
  assert.equal(decisionProven(key, 'a.b.c', report, proof), true)
  assert.equal(decisionProven(key, 'a.b.d', report, proof), false)
  assert.equal(decisionProven(key, 'a.b.c', utf8('{"decision":"allow" }'), proof), false)
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  assert.equal(decisionProven(keyOf(other.publicKey), 'a.b.c', report, proof), false)
})

test('what is no proof proves nothing', () => {
  for (const proof of [undefined, '', '*', 'AAAA', toBase64Url(new Uint8Array(64))]) {
    assert.equal(decisionProven(key, 'a.b.c', report, proof), false)
  }
  const p521 = generateKeyPairSync('ec', { namedCurve: 'P-521' })
  const made = proveDecision(p521.privateKey, 'a.b.c', report)
  assert.equal(decisionProven(keyOf(p521.publicKey), 'a.b.c', report, made), false)
})

test('a signature over the report alone, without domain and token, is no proof', () => {
  const dsa = { key: pair.privateKey, dsaEncoding: 'ieee-p1363' } as const
  assert.equal(decisionProven(key, 'a', report, toBase64Url(sign('sha256', report, dsa))), false)
})
