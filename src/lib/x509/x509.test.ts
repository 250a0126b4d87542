import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { DerReader, derOctets, derOid, derSequence, derSet, derUtf8 } from '#lib/asn1'
import { concat, equalBytes, fromUtf8, toHex, utf8 } from '#lib/bytes'
import { readVector } from '../../../test/support/sgx-vectors.ts'
import { parseCertificate } from './certificate.ts'
import { parseCrl } from './crl.ts'
import { importP256, p256Point, verifyDerSignature, verifyRawSignature } from './ecdsa.ts'
import { EXTENSION, refuseUnknownCritical } from './extensions.ts'
import { readName } from './name.ts'
import { encodePem, splitPem } from './pem.ts'

const CASE = 'sgx-00606a000000-jun25-eval17'
const [signer, root] = splitPem(readVector(CASE, 'tcbInfoIssuerChain.pem'), 'CERTIFICATE', 2).map(
  parseCertificate,
)
assert.ok(signer && root)
const crl = readVector(CASE, 'pckCrl.der')

test('parseCertificate() agrees with the parser of node', () => {
  for (const certificate of [signer, root]) {
    const reference = new X509Certificate(certificate.raw)
    assert.equal(certificate.serial, reference.serialNumber.toLowerCase())
    assert.equal(certificate.notBefore, reference.validFromDate.getTime())
    assert.equal(certificate.notAfter, reference.validToDate.getTime())
    assert.equal(certificate.basicConstraints?.ca, reference.ca)
    const spki = reference.publicKey.export({ type: 'spki', format: 'der' })
    assert.deepEqual(certificate.spki, new Uint8Array(spki))
    assert.ok(reference.subject.includes(`CN=${certificate.subject.commonName}`))
  }
  assert.equal(root.basicConstraints?.pathLength, 1)
  assert.deepEqual(root.keyUsage, { digitalSignature: false, keyCertSign: true, crlSign: true })
  assert.deepEqual(signer.keyUsage, {
    digitalSignature: true,
    keyCertSign: false,
    crlSign: false,
  })
  assert.ok(equalBytes(signer.issuer.raw, root.subject.raw))
})

test('the signed bytes are the ones that the issuer signed', () => {
  const key = importP256(p256Point(root.spki))
  assert.equal(verifyDerSignature(key, signer.tbs, signer.signature), true)
  assert.equal(verifyDerSignature(key, signer.raw, signer.signature), false)
  assert.equal(verifyRawSignature(key, signer.tbs, signer.signature), false)
})

test('every truncation and any appended byte of a certificate is refused', () => {
  for (let length = 0; length < root.raw.length; length++) {
    assert.throws(() => parseCertificate(root.raw.subarray(0, length)), { name: 'FormatError' })
  }
  assert.throws(() => parseCertificate(concat(root.raw, new Uint8Array(1))), {
    code: 'FORMAT_TRAILING',
  })
})

test('a certificate that is edited anywhere is refused, or its signature is not good', () => {
  const key = importP256(p256Point(root.spki))
  for (let at = 0; at < root.raw.length; at++) {
    const edited = root.raw.with(at, (root.raw[at] ?? 0) ^ (1 << (at % 8)))
    try {
      const { tbs, signature } = parseCertificate(edited)
      assert.equal(verifyDerSignature(key, tbs, signature), false, `byte ${at}`)
    } catch (error) {
      assert.equal((error as Error).name, 'FormatError', `byte ${at}`)
    }
  }
})

test('a certificate larger than the limit is refused before it is read', () => {
  assert.throws(() => parseCertificate(new Uint8Array(70_000)), { code: 'FORMAT_LIMIT' })
})

test('refuseUnknownCritical() names what the caller does not process', () => {
  const known = [EXTENSION.KEY_USAGE, EXTENSION.BASIC_CONSTRAINTS]
  refuseUnknownCritical(root.extensions, known, 'certificate')
  assert.throws(
    () => refuseUnknownCritical(root.extensions, [EXTENSION.KEY_USAGE], 'certificate'),
    {
      message: /2\.5\.29\.19/,
    },
  )
})

test('parseCrl() reads entries, number and dates of a real CRL', () => {
  const { revoked, number, issuer, thisUpdate, nextUpdate } = parseCrl(crl)
  assert.equal(revoked.size, 44)
  assert.equal(number, '01')
  assert.equal(issuer.commonName, 'Intel SGX PCK Platform CA')
  assert.equal(thisUpdate, Date.parse('2025-06-19T10:00:35Z'))
  assert.equal(nextUpdate, Date.parse('2025-07-19T10:00:35Z'))
  for (const serial of revoked) assert.match(serial, /^(?!00)[0-9a-f]{2,40}$/)
})

test('every truncation and any appended byte of a CRL is refused', () => {
  for (let length = 0; length < crl.length; length += 3) {
    assert.throws(() => parseCrl(crl.subarray(0, length)), { name: 'FormatError' })
  }
  assert.throws(() => parseCrl(concat(crl, new Uint8Array(1))), { code: 'FORMAT_TRAILING' })
})

test('parseCrl() refuses a certificate, and parseCertificate() a CRL', () => {
  assert.throws(() => parseCrl(root.raw), { name: 'FormatError' })
  assert.throws(() => parseCertificate(crl), { name: 'FormatError' })
})

test('splitPem() reads blocks that encodePem() wrote, in their order', () => {
  const text = encodePem(signer.raw, 'CERTIFICATE') + encodePem(root.raw, 'CERTIFICATE')
  assert.equal(text, `${fromUtf8(readVector(CASE, 'tcbInfoIssuerChain.pem'), 'PEM').trim()}\n`)
  const blocks = splitPem(`\n${text.replaceAll('\n', '\r\n')}\n\n`, 'CERTIFICATE', 2)
  assert.deepEqual(blocks.map(toHex), [signer.raw, root.raw].map(toHex))
  assert.deepEqual(splitPem('', 'CERTIFICATE', 2), [])
})

test('splitPem() refuses other labels, text between blocks, bad base64 and too many blocks', () => {
  const block = encodePem(root.raw, 'CERTIFICATE')
  for (const text of [
    encodePem(root.raw, 'X509 CRL'),
    `hello\n${block}`,
    `${block}hello`,
    `${block}\0`,
    block.replace('-----END CERTIFICATE-----', ''),
    block.replace('-----END CERTIFICATE-----', '-----END X509 CRL-----'),
    block.replace('\nM', '\n!'),
    block.replace('-----BEGIN', '----BEGIN'),
    block + block + block,
    'x'.repeat(2_000_000),
  ]) {
    assert.throws(
      () => splitPem(text, 'CERTIFICATE', 2),
      { name: 'FormatError' },
      text.slice(0, 60),
    )
  }
  assert.throws(() => splitPem(new Uint8Array([0xff]), 'CERTIFICATE', 2), { name: 'FormatError' })
})

test('importP256() refuses points that are not on the curve, and keys of other kinds', () => {
  assert.throws(() => importP256(new Uint8Array(64).fill(1)), { name: 'FormatError' })
  assert.throws(() => importP256(new Uint8Array(64)), { name: 'FormatError' })
  assert.throws(() => importP256(new Uint8Array(65)), RangeError)
  assert.throws(() => p256Point(utf8('spki')), { name: 'FormatError' })
  assert.throws(() => p256Point(root.spki.with(20, 0)), { name: 'FormatError' })
  assert.throws(() => p256Point(concat(root.spki, new Uint8Array(1))), { name: 'FormatError' })
})

test('keys stay right when more of them were seen than are remembered', async () => {
  const { generateKeyPairSync, sign } = await import('node:crypto')
  const pairs = Array.from({ length: 70 }, () => generateKeyPairSync('ec', { namedCurve: 'P-256' }))
  for (const round of [0, 1]) {
    for (const { privateKey, publicKey } of pairs) {
      const message = utf8(`message ${round}`)
      const point = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' })).subarray(-64)
      const signature = new Uint8Array(
        sign('sha256', message, { key: privateKey, dsaEncoding: 'ieee-p1363' }),
      )
      assert.equal(verifyRawSignature(importP256(point), message, signature), true)
      assert.equal(verifyRawSignature(importP256(point), utf8('other'), signature), false)
      assert.equal(verifyRawSignature(importP256(point), message, signature.subarray(1)), false)
    }
  }
})

test('a name with two common names is refused, one of an odd type has none', () => {
  const attribute = (value: Uint8Array): Uint8Array => derSet(derSequence(derOid('2.5.4.3'), value))
  const read = (...sets: Uint8Array[]) => readName(new DerReader(derSequence(...sets)), 'name')
  assert.equal(read(attribute(derUtf8('a'))).commonName, 'a')
  assert.equal(read(attribute(derOctets(utf8('a')))).commonName, undefined)
  assert.equal(read().commonName, undefined)
  assert.throws(() => read(attribute(derUtf8('a')), attribute(derUtf8('b'))), {
    name: 'FormatError',
  })
})
