import { readSequence, TAG } from '#lib/asn1'
import { equalBytes, FormatError, toHex } from '#lib/bytes'
import { readAlgorithm } from './algorithm.ts'
import {
  authorityKeyId,
  type BasicConstraints,
  basicConstraints,
  type Extensions,
  type KeyUsage,
  keyUsage,
  readExtensions,
  subjectKeyId,
} from './extensions.ts'
import { type Name, readName } from './name.ts'

/** Largest certificate that is looked at; RA-TLS certificates carry whole collateral. */
export const MAX_CERTIFICATE_SIZE = 65_536

/** A version 3 certificate (RFC 5280). Byte strings are views of what was parsed. */
export interface Certificate {
  readonly raw: Uint8Array
  /** The part that is signed. */
  readonly tbs: Uint8Array
  /** Serial number, lower-case hex without leading zero octets. */
  readonly serial: string
  /** OID of the algorithm; the signed and the outer copy are equal. */
  readonly signatureAlgorithm: string
  readonly issuer: Name
  readonly subject: Name
  /** Milliseconds since 1970. */
  readonly notBefore: number
  readonly notAfter: number
  /** SubjectPublicKeyInfo, complete. */
  readonly spki: Uint8Array
  readonly extensions: Extensions
  readonly basicConstraints: BasicConstraints | undefined
  readonly keyUsage: KeyUsage | undefined
  readonly subjectKeyId: Uint8Array | undefined
  readonly authorityKeyId: Uint8Array | undefined
  readonly signature: Uint8Array
}

/** Parses one DER certificate. Nothing is verified; critical extensions are the caller's duty. */
export function parseCertificate(bytes: Uint8Array): Certificate {
  if (bytes.length > MAX_CERTIFICATE_SIZE) {
    const found = `has ${bytes.length} bytes, the limit is ${MAX_CERTIFICATE_SIZE}`
    throw new FormatError('FORMAT_LIMIT', 'certificate', 0, found)
  }
  const outer = readSequence(bytes, 'certificate')
  const start = outer.offset
  const tbs = outer.sequence('TBS certificate')
  const signed = bytes.subarray(start, outer.offset)
  const version = tbs.optionalExplicit(0, 'version')
  if (version === undefined || version.integer('version', 255) !== 2) {
    throw new FormatError('FORMAT_INVALID', 'version', start, 'is not 3')
  }
  version.end('version')
  const serial = toHex(tbs.unsigned('serial number'))
  const inner = readAlgorithm(tbs, 'signature algorithm')
  const issuer = readName(tbs, 'issuer')
  const validity = tbs.sequence('validity')
  const notBefore = validity.time('notBefore')
  const notAfter = validity.time('notAfter')
  validity.end('validity')
  const subject = readName(tbs, 'subject')
  const spki = tbs.expect(TAG.SEQUENCE, 'subject public key info').raw
  const wrapper = tbs.optionalExplicit(3, 'extensions')
  if (wrapper === undefined) {
    throw new FormatError('FORMAT_INVALID', 'extensions', tbs.offset, 'are missing')
  }
  const extensions = readExtensions(wrapper.sequence('extensions'), 'certificate extension')
  wrapper.end('extensions')
  tbs.end('TBS certificate')
  const algorithm = readAlgorithm(outer, 'outer signature algorithm')
  if (!equalBytes(algorithm.raw, inner.raw)) {
    const found = 'differs from the signed one'
    throw new FormatError('FORMAT_INVALID', 'outer signature algorithm', outer.offset, found)
  }
  const signature = outer.bitOctets('signature')
  outer.end('certificate')
  return {
    raw: bytes,
    tbs: signed,
    serial,
    signatureAlgorithm: inner.oid,
    issuer,
    subject,
    notBefore,
    notAfter,
    spki,
    extensions,
    basicConstraints: basicConstraints(extensions),
    keyUsage: keyUsage(extensions),
    subjectKeyId: subjectKeyId(extensions),
    authorityKeyId: authorityKeyId(extensions),
    signature,
  }
}
