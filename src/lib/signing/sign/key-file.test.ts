import assert from 'node:assert/strict'
import { scryptSync } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import nacl from 'tweetnacl'
import { fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { generateSigningKey, isKeyFile, openKeyFile, openSigningKey, sealKeyFile } from './index.ts'

// Written as cosign 2 does, independently of the code under test.
function cosignFile(params: object, n: number, passphrase: string): Uint8Array {
  const salt = new Uint8Array(32).fill(1)
  const nonce = new Uint8Array(24).fill(2)
  const key = scryptSync(passphrase, salt, 32, { N: n, r: 8, p: 1, maxmem: 512 * n * 8 })
  const document = {
    kdf: { name: 'scrypt', params, salt: toBase64(salt) },
    cipher: { name: 'nacl/secretbox', nonce: toBase64(nonce) },
    ciphertext: toBase64(nacl.secretbox(utf8('pkcs8'), nonce, new Uint8Array(key))),
  }
  const body = toBase64(utf8(JSON.stringify(document)))
  const name = 'ENCRYPTED COSIGN PRIVATE KEY'
  return utf8(`-----BEGIN ${name}-----\n${body}\n-----END ${name}-----\n`)
}

const vector = (name: string) =>
  new Uint8Array(readFileSync(new URL(`../../../../test/vectors/signing/${name}`, import.meta.url)))

test('keys that cosign and sigstore-rs made open, under both labels', () => {
  const [v1, v2] = [vector('cosign-v1.key'), vector('cosign-v2.key')]
  assert.equal(isKeyFile(v1) && isKeyFile(v2), true)
  assert.equal(
    openSigningKey(v1, '123').id,
    '00208863d9785226df9ad68ceb2ad5b43f1f5ddd686147f25116ee088726eb6d',
  )
  assert.equal(
    openSigningKey(v2, '').id,
    '0d8cd6794def5c5e3b42f37bf6ee29bb252ce269771cf3c0785d92fca7be586f',
  )
})

test('the largest N that cosign wrote is read', () => {
  const file = cosignFile({ N: 131072, r: 8, p: 1 }, 131072, 'secret')
  assert.equal(fromUtf8(openKeyFile(file, 'secret'), 'key'), 'pkcs8')
})

test('openKeyFile() refuses other scrypt parameters before it computes anything', () => {
  for (const params of [
    { N: 2 ** 30, r: 8, p: 1 },
    { N: 1024, r: 8, p: 1 },
    { N: 32768, r: 1024, p: 1 },
    { N: 32768, r: 8, p: 1000 },
  ]) {
    const file = cosignFile(params, 1024, 'secret')
    assert.throws(() => openKeyFile(file, 'secret'), { code: 'KEY_INVALID' })
  }
})

test('a wrong passphrase is told apart from a damaged file', () => {
  const { privateFile } = generateSigningKey('secret')
  assert.throws(() => openKeyFile(privateFile, 'wrong'), { code: 'KEY_PASSPHRASE' })
  const text = fromUtf8(privateFile, 'key')
  for (const bad of [
    '',
    text.slice(10),
    text.replace(/[A-Za-z0-9]{8}/, '********'),
    text + text,
    text.replaceAll('ENCRYPTED SIGSTORE', 'ENCRYPTED OTHER'),
  ]) {
    assert.throws(() => openKeyFile(utf8(bad), 'secret'), { code: 'KEY_INVALID' })
  }
})

test('generated keys open, and their file never holds the key in the clear', () => {
  const made = generateSigningKey('secret')
  const key = openSigningKey(made.privateFile, 'secret')
  assert.equal(key.id, made.id)
  assert.deepEqual(key.publicPem, made.publicPem)
  const jwk = key.key.export({ format: 'jwk' })
  const file = Buffer.from(made.privateFile)
  assert.equal(file.includes(Buffer.from(jwk.d as string, 'base64url')), false)
  assert.match(
    fromUtf8(made.privateFile, 'key'),
    /^-----BEGIN ENCRYPTED SIGSTORE PRIVATE KEY-----\n/,
  )
})

test('sealKeyFile() wraps its lines at 64 characters and opens again', () => {
  const file = sealKeyFile(utf8('pkcs8'), 'x', { random: (size) => new Uint8Array(size) })
  for (const line of fromUtf8(file, 'key').split('\n')) assert.ok(line.length <= 64)
  assert.equal(fromUtf8(openKeyFile(file, 'x'), 'key'), 'pkcs8')
})
