import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { test } from 'node:test'
import { flattenedDecrypt, importJWK } from 'jose'
import { FormatError, fromUtf8, utf8 } from '#lib/bytes'
import { parseTeeKey } from '#protocol/kbs'
import { encryptToTeeKey } from './jwe.ts'

// KBS protocol 0.4.0, docs/kbs.md
const RECIPIENT = {
  kty: 'EC',
  crv: 'P-256',
  alg: 'ECDH-ES+A256KW',
  x: 'b_A7lJJBzh2t1DUZ5pYOCoW0GmmgXDKBA6orzhWUyhY',
  y: 'PE91OlW_AdxT9sCwx-7ni0DG_30lqW4igrmJzvccFEo',
} as const
const EPHEMERAL = {
  kty: 'EC',
  crv: 'P-256',
  d: 'AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI',
  x: 'VQ9HEAPz35fD31Bqx5f2ch-xoft7j2-D0iRJimXIjiQ',
  y: 'E2CT1wEuUJpzcVy9CwCjzA_0tcAbP_oZarH7MnA2uOY',
}

test('encryptToTeeKey() gives the deterministic vector, byte for byte', () => {
  const privateKey = createPrivateKey({ format: 'jwk', key: EPHEMERAL })
  const jwe = encryptToTeeKey(RECIPIENT, utf8('hello'), {
    cek: new Uint8Array(32).fill(3),
    iv: new Uint8Array(12).fill(4),
    ephemeral: { privateKey, publicKey: createPublicKey({ format: 'jwk', key: EPHEMERAL }) },
  })
  assert.deepEqual(jwe, {
    protected:
      'eyJhbGciOiJFQ0RILUVTK0EyNTZLVyIsImVuYyI6IkEyNTZHQ00iLCJlcGsiOnsiY3J2IjoiUC0yNTYiLCJrdHkiOiJFQyIsIngiOiJWUTlIRUFQejM1ZkQzMUJxeDVmMmNoLXhvZnQ3ajItRDBpUkppbVhJamlRIiwieSI6IkUyQ1Qxd0V1VUpwemNWeTlDd0NqekFfMHRjQWJQX29aYXJIN01uQTJ1T1kifX0',
    encrypted_key: 'GdbeMFf-Iy_kWUxENO8fTLpdGsso3kg6_SAhoGNbAemrahYLkS31ZQ',
    iv: 'BAQEBAQEBAQEBAQE',
    ciphertext: 'KEJ_ocI',
    tag: 'JYECbOnig4epOgpgkqNFaA',
  })
})

test('another implementation opens what encryptToTeeKey() makes, for each kind of key', async () => {
  const pairs = [
    { pair: generateKeyPairSync('ec', { namedCurve: 'P-256' }), alg: 'ECDH-ES+A256KW' },
    { pair: generateKeyPairSync('ec', { namedCurve: 'P-521' }), alg: 'ECDH-ES+A256KW' },
    { pair: generateKeyPairSync('rsa', { modulusLength: 2048 }), alg: 'RSA-OAEP-256' },
  ]
  for (const { pair, alg } of pairs) {
    const key = parseTeeKey({ ...pair.publicKey.export({ format: 'jwk' }), alg })
    for (const size of [0, 1, 100_000]) {
      const jwe = encryptToTeeKey(key, new Uint8Array(size).fill(7))
      const secret = await importJWK({ ...pair.privateKey.export({ format: 'jwk' }), alg }, alg)
      const opened = await flattenedDecrypt(jwe, secret)
      assert.deepEqual(opened.plaintext, new Uint8Array(size).fill(7))
    }
  }
})

test('no two encryptions share key, IV or ephemeral key', () => {
  const [a, b] = [1, 2].map(() => encryptToTeeKey(RECIPIENT, utf8('same')))
  for (const member of ['protected', 'encrypted_key', 'iv', 'ciphertext', 'tag'] as const) {
    assert.notEqual(a?.[member], b?.[member], member)
  }
  assert.match(
    fromUtf8(Buffer.from(a?.protected ?? '', 'base64url'), 'header'),
    /^\{"alg":"ECDH-ES\+A256KW","enc":"A256GCM","epk":\{"crv":"P-256","kty":"EC","x":/,
  )
})

test('encryptToTeeKey() refuses a point off the curve', () => {
  assert.throws(() => encryptToTeeKey({ ...RECIPIENT, y: RECIPIENT.x }, utf8('x')), FormatError)
})
