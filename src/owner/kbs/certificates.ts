import { createHash, generateKeyPairSync, type KeyObject, randomBytes, sign } from 'node:crypto'
import { isIP } from 'node:net'
import {
  der,
  derBits,
  derBoolean,
  derExplicit,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  implicitTag,
} from '#lib/asn1'
import { toBase64, utf8 } from '#lib/bytes'
import { encodePem } from '#lib/x509'

const OID = {
  ecdsaWithSha256: '1.2.840.10045.4.3.2',
  commonName: '2.5.4.3',
  basicConstraints: '2.5.29.19',
  keyUsage: '2.5.29.15',
  extendedKeyUsage: '2.5.29.37',
  serverAuth: '1.3.6.1.5.5.7.3.1',
  subjectAltName: '2.5.29.17',
  subjectKeyId: '2.5.29.14',
  authorityKeyId: '2.5.29.35',
} as const

// Bits of KeyUsage as one BIT STRING octet, with its count of unused bits.
const DIGITAL_SIGNATURE = Uint8Array.of(7, 0x80)
const KEY_CERT_SIGN_CRL_SIGN = Uint8Array.of(1, 0x06)

/** A P-256 key pair. */
export interface KeyPair {
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** A fresh P-256 key pair. */
export function newKeyPair(): KeyPair {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' })
}

/** What a certificate of the broker says. */
export interface CertificateInput {
  readonly subject: string
  readonly publicKey: KeyObject
  /** The authority; itself for a root. */
  readonly issuer: {
    readonly subject: string
    readonly privateKey: KeyObject
    readonly publicKey: KeyObject
  }
  /** `server` certificates carry names, `signer` ones sign tokens. */
  readonly use: 'authority' | 'server' | 'signer'
  /** DNS names and IP addresses of a server. */
  readonly names?: readonly string[]
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
}

/** Issues one X.509 certificate (RFC 5280), ECDSA P-256 with SHA-256. Returns DER. */
export function issueCertificate(input: CertificateInput): Uint8Array {
  const algorithm = derSequence(derOid(OID.ecdsaWithSha256))
  const serial = randomBytes(16)
  // Positive and never shorter than it looks: RFC 5280 4.1.2.2.
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40
  const tbs = derSequence(
    derExplicit(0, derInteger(2)),
    derInteger(serial),
    algorithm,
    distinguishedName(input.issuer.subject),
    derSequence(derTime(seconds(input.notBefore)), derTime(seconds(input.notAfter))),
    distinguishedName(input.subject),
    spki(input.publicKey),
    derExplicit(3, derSequence(...extensions(input))),
  )
  const signature = sign('sha256', tbs, input.issuer.privateKey)
  return derSequence(tbs, algorithm, derBits(signature))
}

/** One certificate as PEM. */
export function certificatePem(certificate: Uint8Array): string {
  return encodePem(certificate, 'CERTIFICATE')
}

/** `sha256/<base64 of SHA-256 of the SubjectPublicKeyInfo>`, as init-data names a broker's key. */
export function spkiPin(publicKey: KeyObject): string {
  return `sha256/${toBase64(createHash('sha256').update(spki(publicKey)).digest())}`
}

function extensions(input: CertificateInput): Uint8Array[] {
  const authority = input.use === 'authority'
  const constraints = authority ? derSequence(derBoolean(true), derInteger(0)) : derSequence()
  const usage = authority ? KEY_CERT_SIGN_CRL_SIGN : DIGITAL_SIGNATURE
  const list = [
    extension(OID.basicConstraints, true, constraints),
    extension(OID.keyUsage, true, der(0x03, usage)),
    extension(OID.subjectKeyId, false, derOctets(keyId(input.publicKey))),
    extension(
      OID.authorityKeyId,
      false,
      derSequence(der(implicitTag(0), keyId(input.issuer.publicKey))),
    ),
  ]
  if (input.use === 'server') {
    const names = (input.names ?? []).map(generalName)
    list.push(
      extension(OID.extendedKeyUsage, false, derSequence(derOid(OID.serverAuth))),
      extension(OID.subjectAltName, false, derSequence(...names)),
    )
  }
  return list
}

function extension(oid: string, critical: boolean, value: Uint8Array): Uint8Array {
  const flag = critical ? [derBoolean(true)] : []
  return derSequence(derOid(oid), ...flag, derOctets(value))
}

function generalName(name: string): Uint8Array {
  switch (isIP(name)) {
    case 4:
      return der(implicitTag(7), Uint8Array.from(name.split('.'), Number))
    case 6:
      return der(implicitTag(7), ipv6Octets(name))
    default:
      return der(implicitTag(2), utf8(name))
  }
}

function ipv6Octets(address: string): Uint8Array {
  // The URL parser writes any spelling in full-or-compressed hexadecimal groups.
  const text = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const [left = '', right] = text.split('::')
  const groups = (part: string): string[] => (part === '' ? [] : part.split(':'))
  const head = groups(left)
  const tail = groups(right ?? '')
  const gap = right === undefined ? 0 : 8 - head.length - tail.length
  const all = [...head, ...Array<string>(gap).fill('0'), ...tail]
  return Uint8Array.from(
    all.flatMap((group) => {
      const value = Number.parseInt(group, 16)
      return [value >> 8, value & 0xff]
    }),
  )
}

function distinguishedName(commonName: string): Uint8Array {
  return derSequence(derSet(derSequence(derOid(OID.commonName), derUtf8(commonName))))
}

function spki(publicKey: KeyObject): Uint8Array {
  return publicKey.export({ type: 'spki', format: 'der' })
}

function keyId(publicKey: KeyObject): Uint8Array {
  return createHash('sha256').update(spki(publicKey)).digest().subarray(0, 20)
}

function seconds(time: number): number {
  return Math.floor(time / 1000) * 1000
}
