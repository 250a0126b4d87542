import { type DerReader, readSequence, TAG } from '#lib/asn1'
import { equalBytes, FormatError, toHex } from '#lib/bytes'
import { readAlgorithm } from './algorithm.ts'
import {
  authorityKeyId,
  crlNumber,
  EXTENSION,
  readExtensions,
  refuseUnknownCritical,
} from './extensions.ts'
import { type Name, readName } from './name.ts'

/** Largest CRL that is looked at; Intel's longest has 3 kB. */
export const MAX_CRL_SIZE = 1_048_576

/** A version 2 CRL (RFC 5280 5). Byte strings are views of what was parsed. */
export interface Crl {
  readonly raw: Uint8Array
  /** The part that is signed. */
  readonly tbs: Uint8Array
  readonly signatureAlgorithm: string
  readonly issuer: Name
  /** Milliseconds since 1970. */
  readonly thisUpdate: number
  /** Undefined if the CRL does not say; treat it as stale then. */
  readonly nextUpdate: number | undefined
  /** Serial numbers, lower-case hex without leading zero octets, as in `Certificate.serial`. */
  readonly revoked: ReadonlySet<string>
  /** Lower-case hex. */
  readonly number: string
  readonly authorityKeyId: Uint8Array
  readonly signature: Uint8Array
}

/**
 * Parses one DER CRL. CRLNumber and AuthorityKeyIdentifier must be there; critical
 * extensions are refused, among them those of indirect, partial and delta CRLs, whose
 * entries mean something else. Nothing is verified.
 */
export function parseCrl(bytes: Uint8Array): Crl {
  if (bytes.length > MAX_CRL_SIZE) {
    const found = `has ${bytes.length} bytes, the limit is ${MAX_CRL_SIZE}`
    throw new FormatError('FORMAT_LIMIT', 'CRL', 0, found)
  }
  const outer = readSequence(bytes, 'CRL')
  const start = outer.offset
  const tbs = outer.sequence('TBS certificate list')
  const signed = bytes.subarray(start, outer.offset)
  if (tbs.integer('CRL version', 255) !== 1) {
    throw new FormatError('FORMAT_INVALID', 'CRL version', start, 'is not 2')
  }
  const inner = readAlgorithm(tbs, 'signature algorithm')
  const issuer = readName(tbs, 'issuer')
  const thisUpdate = tbs.time('thisUpdate')
  const timed = tbs.peek() === TAG.UTC_TIME || tbs.peek() === TAG.GENERALIZED_TIME
  const nextUpdate = timed ? tbs.time('nextUpdate') : undefined
  const revoked =
    tbs.peek() === TAG.SEQUENCE ? readEntries(tbs.sequence('entries')) : new Set<string>()
  const wrapper = tbs.optionalExplicit(0, 'CRL extensions')
  if (wrapper === undefined) {
    throw new FormatError('FORMAT_INVALID', 'CRL extensions', tbs.offset, 'are missing')
  }
  const extensions = readExtensions(wrapper.sequence('CRL extensions'), 'CRL extension')
  wrapper.end('CRL extensions')
  tbs.end('TBS certificate list')
  refuseUnknownCritical(extensions, [EXTENSION.CRL_NUMBER, EXTENSION.AUTHORITY_KEY_ID], 'CRL')
  const number = crlNumber(extensions)
  const keyId = authorityKeyId(extensions)
  if (number === undefined || keyId === undefined) {
    const missing = number === undefined ? 'CRL number' : 'authority key id'
    throw new FormatError('FORMAT_INVALID', missing, start, 'is missing')
  }
  const algorithm = readAlgorithm(outer, 'outer signature algorithm')
  if (!equalBytes(algorithm.raw, inner.raw)) {
    const found = 'differs from the signed one'
    throw new FormatError('FORMAT_INVALID', 'outer signature algorithm', outer.offset, found)
  }
  const signature = outer.bitOctets('signature')
  outer.end('CRL')
  return {
    raw: bytes,
    tbs: signed,
    signatureAlgorithm: inner.oid,
    issuer,
    thisUpdate,
    nextUpdate,
    revoked,
    number: toHex(number),
    authorityKeyId: keyId,
    signature,
  }
}

/** Every entry revokes, whatever its reason: `removeFromCRL` exists in delta CRLs alone. */
function readEntries(list: DerReader): Set<string> {
  const serials = new Set<string>()
  while (!list.done) {
    const entry = list.sequence('CRL entry')
    serials.add(toHex(entry.unsigned('revoked serial number')))
    entry.time('revocation date')
    if (!entry.done) {
      const extensions = readExtensions(entry.sequence('entry extensions'), 'entry extension')
      refuseUnknownCritical(extensions, [], 'CRL entry')
    }
    entry.end('CRL entry')
  }
  return serials
}
