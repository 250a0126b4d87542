import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { toHex } from '#lib/bytes'
import { type Extensions, parseCertificate, parseCrl } from '#lib/x509'
import { issueCertificate, issueCrl } from './issuer.ts'
import { newPrivateKey } from './key-pairs.ts'
import { COMMON_NAMES, ORGANISATION, type Role } from './names.ts'

const from = Date.UTC(2026, 0, 1)
const validity = { from, until: from + 1000 * 86_400_000 }
const root = { role: 'root', key: newPrivateKey() } as const
const pckCa = { role: 'pckCa', key: newPrivateKey() } as const
const pck = { role: 'pck', key: newPrivateKey() } as const
const tcbSigner = { role: 'tcbSigner', key: newPrivateKey() } as const

const PARTS = [
  { subject: root, issuer: root, ca: true },
  { subject: pckCa, issuer: root, ca: true },
  { subject: tcbSigner, issuer: root, ca: false },
  { subject: pck, issuer: pckCa, ca: false },
] as const

for (const { subject, issuer, ca } of PARTS) {
  test(`issueCertificate() follows the profile of ${COMMON_NAMES[subject.role]}`, async () => {
    const der = await issueCertificate({ subject, issuer, validity })
    const openssl = new X509Certificate(der)
    assert.equal(openssl.subject, dn(subject.role))
    assert.equal(openssl.issuer, dn(issuer.role))
    assert.equal(openssl.ca, ca)
    const issuerKey = new X509Certificate(
      await issueCertificate({ subject: issuer, issuer, validity }),
    )
    assert.equal(openssl.verify(issuerKey.publicKey), true)
    const ours = parseCertificate(der)
    assert.equal(ours.notBefore, validity.from)
    assert.equal(ours.notAfter, validity.until)
    assert.match(ours.serial, /^[4-7][0-9a-f]{39}$/)
    assert.notDeepEqual(ours.subjectKeyId, undefined)
    assert.deepEqual([...ours.extensions.keys()], EXTENSION_ORDER)
    assert.deepEqual(criticalOf(ours.extensions), EXTENSION_ORDER.slice(3))
  })
}

test('distinguished names are UTF8String but for the country', async () => {
  const der = toHex(await issueCertificate({ subject: root, issuer: root, validity }))
  // OID 2.5.4.3 with a UTF8String "Int…", OID 2.5.4.6 with a PrintableString "XX"
  assert.match(der, /06035504030c11496e74/)
  assert.match(der, /060355040613025858/)
})

test('issueCrl() makes a CRL with number, authority key and the revoked serials', async () => {
  const revoked = ['4dfa5404bcb512ee170bc82cbe5abc074b773b7e']
  const der = await issueCrl({ issuer: pckCa, number: 300, validity, revoked })
  const crl = parseCrl(der)
  const ca = parseCertificate(await issueCertificate({ subject: pckCa, issuer: root, validity }))
  assert.deepEqual(crl.issuer.raw, ca.subject.raw)
  assert.deepEqual(crl.authorityKeyId, ca.subjectKeyId)
  assert.equal(crl.thisUpdate, validity.from)
  assert.equal(crl.nextUpdate, validity.until)
  assert.deepEqual([...crl.revoked], revoked)
})

/** AKI, CRL distribution points, SKI, key usage, basic constraints; the last two are critical. */
const EXTENSION_ORDER = ['2.5.29.35', '2.5.29.31', '2.5.29.14', '2.5.29.15', '2.5.29.19']

function criticalOf(extensions: Extensions): string[] {
  return [...extensions].flatMap(([oid, { critical }]) => (critical ? [oid] : []))
}

function dn(role: Role): string {
  return [
    `CN=${COMMON_NAMES[role]}`,
    `O=${ORGANISATION}`,
    'L=Simulated',
    'ST=Simulated',
    'C=XX',
  ].join('\n')
}
