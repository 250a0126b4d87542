// This module and what it imports are heavy: load it with `import()` only when something must be issued.
// reflect-metadata comes first, the certificate library does not start without it.
import 'reflect-metadata'
import { createHash, type KeyObject, randomBytes, type webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { derInteger } from '#lib/asn1'
import { toHex } from '#lib/bytes'
import { publicKeyInfo, publicPoint } from './key-pairs.ts'
import { COMMON_NAMES, ORGANISATION, PCK_CRL_URL, ROOT_CRL_URL, type Role } from './names.ts'
import type { Validity } from './tcb-info.ts'

const P256 = { name: 'ECDSA', namedCurve: 'P-256' }
const SIGNING = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const SGX_EXTENSION = '1.2.840.113741.1.13.1'
const CRL_NUMBER = '2.5.29.20'

const CA_USAGE = x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign
const SIGNER_USAGE = x509.KeyUsageFlags.digitalSignature | x509.KeyUsageFlags.nonRepudiation

/** Who signs: a role and its key. */
export interface Issuer {
  readonly role: Role
  readonly key: KeyObject
}

/** How the certificates of each role differ. */
const PROFILES: Readonly<
  Record<Role, { readonly usage: number; readonly pathLength?: number; readonly crlUrl: string }>
> = {
  root: { usage: CA_USAGE, pathLength: 1, crlUrl: ROOT_CRL_URL },
  pckCa: { usage: CA_USAGE, pathLength: 0, crlUrl: ROOT_CRL_URL },
  tcbSigner: { usage: SIGNER_USAGE, crlUrl: ROOT_CRL_URL },
  pck: { usage: SIGNER_USAGE, crlUrl: PCK_CRL_URL },
}

/**
 * A certificate for `subject`, DER. The five extensions come in the order of Intel's certificates;
 * `sgxExtension` (DER of its SEQUENCE) makes it a PCK certificate.
 */
export async function issueCertificate(options: {
  readonly subject: Issuer
  readonly issuer: Issuer
  readonly validity: Validity
  readonly sgxExtension?: Uint8Array<ArrayBuffer>
}): Promise<Uint8Array> {
  const { subject, issuer, validity, sgxExtension } = options
  const { usage, pathLength, crlUrl } = PROFILES[subject.role]
  const certificate = await x509.X509CertificateGenerator.create({
    serialNumber: newSerialNumber(),
    subject: name(subject.role),
    issuer: name(issuer.role),
    notBefore: wholeSeconds(validity.from),
    notAfter: wholeSeconds(validity.until),
    publicKey: publicKeyInfo(subject.key),
    signingKey: signingKey(issuer.key),
    signingAlgorithm: SIGNING,
    extensions: [
      new x509.AuthorityKeyIdentifierExtension(keyIdentifier(issuer.key)),
      new x509.CRLDistributionPointsExtension([crlUrl]),
      new x509.SubjectKeyIdentifierExtension(keyIdentifier(subject.key)),
      new x509.KeyUsagesExtension(usage, true),
      new x509.BasicConstraintsExtension(pathLength !== undefined, pathLength, true),
      ...(sgxExtension === undefined
        ? []
        : [new x509.Extension(SGX_EXTENSION, false, sgxExtension)]),
    ],
  })
  return new Uint8Array(certificate.rawData)
}

/** A certificate revocation list, DER; `revoked` are serial numbers in hexadecimal. */
export async function issueCrl(options: {
  readonly issuer: Issuer
  readonly number: number
  readonly validity: Validity
  readonly revoked: readonly string[]
}): Promise<Uint8Array> {
  const { issuer, validity } = options
  const crl = await x509.X509CrlGenerator.create({
    issuer: name(issuer.role),
    thisUpdate: wholeSeconds(validity.from),
    nextUpdate: wholeSeconds(validity.until),
    signingKey: signingKey(issuer.key),
    signingAlgorithm: SIGNING,
    entries: options.revoked.map((serialNumber) => ({
      serialNumber,
      revocationDate: wholeSeconds(validity.from),
      reason: x509.X509CrlReason.keyCompromise,
    })),
    extensions: [
      new x509.Extension(CRL_NUMBER, false, derInteger(options.number)),
      new x509.AuthorityKeyIdentifierExtension(keyIdentifier(issuer.key)),
    ],
  })
  return new Uint8Array(crl.rawData)
}

// The JSON form of a name gives UTF8String; the string form would give PrintableString.
function name(role: Role): x509.Name {
  const text = (value: string): x509.JsonAttributeObject[] => [{ utf8String: value }]
  return new x509.Name([
    { CN: text(COMMON_NAMES[role]) },
    { O: text(ORGANISATION) },
    { L: text('Simulated') },
    { ST: text('Simulated') },
    { C: [{ printableString: 'XX' }] },
  ])
}

/** SHA-1 of the public key point, as RFC 5280 4.2.1.2 (1) says; names a key, protects nothing. */
function keyIdentifier(key: KeyObject): string {
  return createHash('sha1').update(Uint8Array.of(4)).update(publicPoint(key)).digest('hex')
}

/** 20 random bytes, positive and without leading zeros. */
function newSerialNumber(): string {
  const bytes = randomBytes(20)
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f)
  return toHex(bytes)
}

function signingKey(key: KeyObject): webcrypto.CryptoKey {
  return key.toCryptoKey(P256, false, ['sign'])
}

function wholeSeconds(milliseconds: number): Date {
  return new Date(Math.floor(milliseconds / 1000) * 1000)
}
