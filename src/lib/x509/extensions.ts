import { DerReader, implicitTag, readSequence, TAG } from '#lib/asn1'
import { FormatError } from '#lib/bytes'

/** OIDs of the extensions that certificates and CRLs here are checked for. */
export const EXTENSION = {
  SUBJECT_KEY_ID: '2.5.29.14',
  KEY_USAGE: '2.5.29.15',
  BASIC_CONSTRAINTS: '2.5.29.19',
  CRL_NUMBER: '2.5.29.20',
  AUTHORITY_KEY_ID: '2.5.29.35',
} as const

/** One extension; `value` is the content of extnValue. */
export interface Extension {
  readonly critical: boolean
  readonly value: Uint8Array
}

/** Extensions by OID. */
export type Extensions = ReadonlyMap<string, Extension>

/** What BasicConstraints says; `pathLength` is absent where it sets no limit. */
export interface BasicConstraints {
  readonly ca: boolean
  readonly pathLength: number | undefined
}

/** Uses of a key that matter here (RFC 5280 4.2.1.3). */
export interface KeyUsage {
  readonly digitalSignature: boolean
  readonly keyCertSign: boolean
  readonly crlSign: boolean
}

/** Reads a SEQUENCE of extensions. An OID twice is refused: which one counts is unclear. */
export function readExtensions(list: DerReader, what: string): Extensions {
  const extensions = new Map<string, Extension>()
  while (!list.done) {
    const at = list.offset
    const extension = list.sequence(what)
    const oid = extension.oid(`${what} OID`)
    const critical = readFlag(extension, `${what} critical`)
    const value = extension.octets(`${what} value`)
    extension.end(what)
    if (extensions.has(oid)) {
      throw new FormatError('FORMAT_INVALID', what, at, `has ${oid} twice`)
    }
    extensions.set(oid, { critical, value })
  }
  return extensions
}

/** Refuses critical extensions that the caller does not process (RFC 5280 4.2). */
export function refuseUnknownCritical(
  extensions: Extensions,
  known: readonly string[],
  what: string,
): void {
  for (const [oid, { critical }] of extensions) {
    if (critical && !known.includes(oid)) {
      throw new FormatError('FORMAT_INVALID', what, 0, `has critical extension ${oid}`)
    }
  }
}

/** BasicConstraints; undefined if the extension is absent. */
export function basicConstraints(extensions: Extensions): BasicConstraints | undefined {
  const value = extensions.get(EXTENSION.BASIC_CONSTRAINTS)?.value
  if (value === undefined) return undefined
  const reader = readSequence(value, 'basic constraints')
  const ca = readFlag(reader, 'CA flag')
  const pathLength = reader.done ? undefined : reader.integer('path length', 255)
  reader.end('basic constraints')
  return { ca, pathLength }
}

/** KeyUsage; undefined if the extension is absent. */
export function keyUsage(extensions: Extensions): KeyUsage | undefined {
  const extension = extensions.get(EXTENSION.KEY_USAGE)
  if (extension === undefined) return undefined
  const { bits, unused } = single(extension, (reader) => reader.bits('key usage'))
  if (bits.length > 2 || unused > 7) {
    throw new FormatError('FORMAT_INVALID', 'key usage', 0, 'has more bits than are defined')
  }
  const first = bits[0] ?? 0
  return {
    digitalSignature: (first & 0x80) !== 0,
    keyCertSign: (first & 0x04) !== 0,
    crlSign: (first & 0x02) !== 0,
  }
}

/** SubjectKeyIdentifier; undefined if the extension is absent. */
export function subjectKeyId(extensions: Extensions): Uint8Array | undefined {
  const extension = extensions.get(EXTENSION.SUBJECT_KEY_ID)
  return extension && single(extension, (reader) => reader.octets('subject key id'))
}

/** The keyIdentifier of AuthorityKeyIdentifier; undefined if it or the extension is absent. */
export function authorityKeyId(extensions: Extensions): Uint8Array | undefined {
  const value = extensions.get(EXTENSION.AUTHORITY_KEY_ID)?.value
  if (value === undefined) return undefined
  const reader = readSequence(value, 'authority key id')
  return reader.peek() === implicitTag(0) ? reader.value('authority key id').content : undefined
}

/** CRLNumber as octets; undefined if the extension is absent. */
export function crlNumber(extensions: Extensions): Uint8Array | undefined {
  const extension = extensions.get(EXTENSION.CRL_NUMBER)
  return extension && single(extension, (reader) => reader.unsigned('CRL number'))
}

/** Reads an extension that is one value and nothing after it. */
function single<T>(extension: Extension, read: (reader: DerReader) => T): T {
  const reader = new DerReader(extension.value)
  const value = read(reader)
  reader.end('extension')
  return value
}

/** A BOOLEAN DEFAULT FALSE: DER leaves the default out (X.690 11.5). */
function readFlag(reader: DerReader, field: string): boolean {
  if (reader.peek() !== TAG.BOOLEAN) return false
  const at = reader.offset
  if (!reader.boolean(field)) {
    throw new FormatError('FORMAT_INVALID', field, at, 'encodes its default')
  }
  return true
}
