import assert from 'node:assert/strict'
import { createHash, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { toBase64 } from '#lib/bytes'
import { parseCertificate } from '#lib/x509'
import { certificatePem, issueCertificate, newKeyPair, spkiPin } from './certificates.ts'

const NOW = Date.UTC(2026, 0, 1)
const YEAR = 365 * 86_400_000
const authorityKeys = newKeyPair()
const authority = { subject: 'Test CA', ...authorityKeys }
const root = issueCertificate({
  subject: 'Test CA',
  publicKey: authority.publicKey,
  issuer: authority,
  use: 'authority',
  notBefore: NOW,
  notAfter: NOW + 10 * YEAR,
})
const { publicKey } = newKeyPair()
const leaf = issueCertificate({
  subject: 'kbs',
  publicKey,
  issuer: authority,
  use: 'server',
  names: ['localhost', '127.0.0.1', '::1', '2001:db8::ff00:42:8329'],
  notBefore: NOW,
  notAfter: NOW + YEAR,
})

test('OpenSSL accepts what issueCertificate() makes, names and chain included', () => {
  const server = new X509Certificate(certificatePem(leaf))
  const ca = new X509Certificate(certificatePem(root))
  assert.ok(server.verify(ca.publicKey))
  assert.ok(server.checkIssued(ca))
  assert.equal(ca.ca, true)
  assert.equal(server.ca, false)
  assert.equal(server.checkHost('localhost'), 'localhost')
  assert.equal(server.checkHost('example.org'), undefined)
  for (const address of ['127.0.0.1', '::1', '2001:db8::ff00:42:8329']) {
    assert.equal(server.checkIP(address), address)
  }
  assert.deepEqual(server.keyUsage, ['1.3.6.1.5.5.7.3.1'])
})

test('our own strict parser accepts it too', () => {
  const parsed = parseCertificate(leaf)
  assert.equal(parsed.issuer.commonName, 'Test CA')
  assert.equal(parsed.notAfter, NOW + YEAR)
  assert.equal(parseCertificate(root).basicConstraints?.ca, true)
})

test('spkiPin() is the hash of the key, so a renewed certificate keeps it', () => {
  const spki = publicKey.export({ type: 'spki', format: 'der' })
  const expected = `sha256/${toBase64(createHash('sha256').update(spki).digest())}`
  assert.equal(spkiPin(publicKey), expected)
})
