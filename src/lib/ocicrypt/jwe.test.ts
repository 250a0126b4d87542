import assert from 'node:assert/strict'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { CompactEncrypt } from 'jose'
import { fromBase64, fromUtf8, toBase64Url, utf8 } from '#lib/bytes'
import { describeRecipients, jweUnwrapper, parseDecryptionKey } from './index.ts'
import { parseJwe } from './jwe.ts'
import { parseEncryptionKey, wrapJwe } from './wrap/index.ts'

const layer = JSON.parse(
  readFileSync(
    new URL('../../../test/vectors/ocicrypt/skopeo-layer.json', import.meta.url),
    'utf8',
  ),
)
const JWE = 'org.opencontainers.image.enc.keys.jwe'
const plaintext = utf8(layer.privateOptions)

function pair(kind: 'ec' | 'rsa', curve = 'P-256') {
  const { privateKey, publicKey } =
    kind === 'ec'
      ? generateKeyPairSync('ec', { namedCurve: curve })
      : generateKeyPairSync('rsa', { modulusLength: 2048 })
  return {
    opens: parseDecryptionKey(pem(privateKey, 'pkcs8')),
    wraps: parseEncryptionKey(pem(publicKey, 'spki')),
    publicKey,
  }
}

const pem = (key: KeyObject, type: 'pkcs8' | 'spki') =>
  utf8(key.export({ format: 'pem', type } as { format: 'pem'; type: 'spki' }).toString())

const ec = pair('ec')
const rsa = pair('rsa')
const open = (jwe: Uint8Array, ...keys: (typeof ec.opens)[]) => jweUnwrapper(keys).unwrap(jwe, {})

test('the JWE that skopeo wrote opens to the private options of the vector', async () => {
  const jwe = fromBase64(layer.annotations[JWE], 'jwe')
  const key = parseDecryptionKey(utf8(JSON.stringify(layer.privateJwk)))
  assert.equal(fromUtf8(await open(jwe, key), 'options'), layer.privateOptions)
})

test('wrapJwe() writes one recipient flattened, as Go does', async () => {
  const jwe = JSON.parse(fromUtf8(await wrapJwe(plaintext, [ec.wraps]), 'jwe'))
  assert.deepEqual(Object.keys(jwe), ['protected', 'encrypted_key', 'iv', 'ciphertext', 'tag'])
  const header = JSON.parse(Buffer.from(jwe.protected, 'base64url').toString())
  assert.deepEqual([header.alg, header.enc], ['ECDH-ES+A256KW', 'A256GCM'])
  const rsaJwe = JSON.parse(fromUtf8(await wrapJwe(plaintext, [rsa.wraps]), 'jwe'))
  const rsaHeader = JSON.parse(Buffer.from(rsaJwe.protected, 'base64url').toString())
  assert.deepEqual(rsaHeader, { alg: 'RSA-OAEP', enc: 'A256GCM' })
})

test('every recipient of a general JWE opens it, and a stranger does not', async () => {
  const curves = ['P-384', 'P-521'].map((curve) => pair('ec', curve))
  const all = [ec, rsa, ...curves]
  const jwe = await wrapJwe(
    plaintext,
    all.map(({ wraps }) => wraps),
  )
  const stray = JSON.parse(fromUtf8(jwe, 'jwe'))
  assert.equal(stray.recipients.length, 4)
  // skopeo adds this member; it must not make the JWE flattened.
  stray.encrypted_key = stray.recipients[0].encrypted_key
  for (const bytes of [jwe, utf8(JSON.stringify(stray))]) {
    for (const { opens } of all) assert.deepEqual(await open(bytes, opens), plaintext)
    const stranger = pair('ec').opens
    await assert.rejects(open(bytes, stranger), { code: 'JWE_NOT_FOR_KEY' })
    assert.deepEqual(await open(bytes, stranger, rsa.opens), plaintext)
  }
})

test('all five key algorithms and the compact form are read', async () => {
  for (const [alg, key] of [
    ['RSA-OAEP', rsa],
    ['RSA-OAEP-256', rsa],
    ['ECDH-ES+A128KW', ec],
    ['ECDH-ES+A192KW', ec],
    ['ECDH-ES+A256KW', ec],
  ] as const) {
    const jwk = { ...key.publicKey.export({ format: 'jwk' }), alg, kid: 'mine' }
    const wraps = parseEncryptionKey(utf8(JSON.stringify(jwk)))
    const json = await wrapJwe(plaintext, [wraps])
    assert.deepEqual(await open(json, key.opens), plaintext)
    assert.deepEqual(parseJwe(json)[0]?.kid, 'mine')
    const compact = await new CompactEncrypt(plaintext)
      .setProtectedHeader({ alg, enc: 'A128CBC-HS256' })
      .encrypt(key.publicKey)
    assert.deepEqual(await open(utf8(compact), key.opens), plaintext)
  }
})

test('parseJwe() refuses zip, crit, RSA1_5, PBES2, dir, none and plain ECDH-ES', () => {
  const parts = { encrypted_key: 'AA', iv: 'AA', ciphertext: 'AA', tag: 'AA' }
  const jwe = (header: object) =>
    utf8(JSON.stringify({ protected: toBase64Url(utf8(JSON.stringify(header))), ...parts }))
  const good = { alg: 'RSA-OAEP', enc: 'A256GCM' }
  assert.equal(parseJwe(jwe(good)).length, 1)
  const bad = [
    { ...good, zip: 'DEF' },
    { ...good, crit: ['exp'] },
    ...['RSA1_5', 'PBES2-HS256+A128KW', 'dir', 'none', 'ECDH-ES', 'A256KW', 'toString'].map(
      (alg) => ({ ...good, alg }),
    ),
    { ...good, enc: 'XC20P' },
  ]
  for (const header of bad) {
    assert.throws(() => parseJwe(jwe(header)), { code: 'JWE_UNSUPPORTED' }, JSON.stringify(header))
  }
  // The same in a header outside the protected one.
  const general = (header: object) =>
    utf8(
      JSON.stringify({
        protected: toBase64Url(utf8('{"enc":"A256GCM"}')),
        recipients: [{ header }],
        ...parts,
      }),
    )
  assert.equal(parseJwe(general({ alg: 'RSA-OAEP' })).length, 1)
  for (const header of [{ alg: 'RSA-OAEP', zip: 'DEF' }, { alg: 'RSA1_5' }]) {
    assert.throws(() => parseJwe(general(header)), { code: 'JWE_UNSUPPORTED' })
  }
})

test('parseJwe() refuses what is malformed or over a limit', () => {
  const many = {
    protected: 'e30',
    iv: '',
    ciphertext: '',
    tag: '',
    recipients: Array(101).fill({}),
  }
  for (const text of [
    '',
    'a.b.c',
    '{}',
    '{"protected":"e30","protected":"e30"}',
    JSON.stringify(many),
    JSON.stringify({ ...many, recipients: [] }),
    `{"x":"${'y'.repeat(64 * 1024)}"}`,
  ]) {
    assert.throws(() => parseJwe(utf8(text)), { code: 'JWE_INVALID' }, text.slice(0, 40))
  }
})

test('a JWE changed in any byte of its parts does not open', async () => {
  const jwe = JSON.parse(fromUtf8(await wrapJwe(plaintext, [ec.wraps]), 'jwe'))
  await fc.assert(
    fc.asyncProperty(
      fc.constantFrom('encrypted_key', 'iv', 'ciphertext', 'tag'),
      fc.nat(),
      async (member, at) => {
        const bytes = Buffer.from(jwe[member], 'base64url')
        const index = at % bytes.length
        bytes[index] = (bytes[index] as number) ^ 0x80
        const changed = { ...jwe, [member]: bytes.toString('base64url') }
        await assert.rejects(open(utf8(JSON.stringify(changed)), ec.opens), {
          code: 'JWE_NOT_FOR_KEY',
        })
      },
    ),
    { numRuns: 30 },
  )
})

test('parseEncryptionKey() refuses private keys, certificates and foreign algorithms', () => {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const jwk = publicKey.export({ format: 'jwk' })
  for (const text of [
    privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
    JSON.stringify(privateKey.export({ format: 'jwk' })),
    JSON.stringify({ ...jwk, alg: 'RSA-OAEP' }),
    JSON.stringify({ ...jwk, alg: 'ECDH-ES' }),
    '-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n',
    'hello',
  ]) {
    assert.throws(() => parseEncryptionKey(utf8(text)), { code: 'KEY_INVALID' })
  }
})

test('describeRecipients() names recipients without any key', () => {
  assert.deepEqual(
    describeRecipients({ ...layer.annotations, 'org.opencontainers.image.enc.keys.pgp': 'AAAA' }),
    [
      { scheme: 'jwe', id: 'ECDH-ES+A256KW' },
      { scheme: 'pgp', id: '' },
    ],
  )
})
