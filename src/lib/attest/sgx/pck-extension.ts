import { type DerReader, readSequence } from '#lib/asn1'
import { FormatError } from '#lib/bytes'
import type { Certificate } from '#lib/x509'
import { AttestError, malformed } from '../attest-error.ts'

const SGX = '1.2.840.113741.1.13.1'
const COMPONENTS = 16

/** What a PCK certificate says of its platform: SGX extension 1.2.840.113741.1.13.1. */
export interface PckExtension {
  /** 16 bytes: identifies the processor. */
  readonly ppid: Uint8Array
  /** 16 numbers 0..255, compared one by one with TCB levels. */
  readonly tcbComponents: readonly number[]
  readonly pceSvn: number
  /** 16 bytes, for information. */
  readonly cpuSvn: Uint8Array
  /** 2 bytes. */
  readonly pceId: Uint8Array
  /** 6 bytes: the kind of platform. */
  readonly fmspc: Uint8Array
  readonly sgxType: 0 | 1 | 2
  /** Present exactly on leaves of the Platform CA. */
  readonly platform?: PlatformConfiguration
}

/** The two members that multi-package platforms add. */
export interface PlatformConfiguration {
  /** 16 bytes. */
  readonly instanceId: Uint8Array
  readonly dynamicPlatform?: boolean
  readonly cachedKeys?: boolean
  readonly smtEnabled?: boolean
}

/**
 * Parses the extension of a PCK certificate: any order of members, none twice, no others.
 * Throws AttestError PCK_EXTENSION.
 */
export function parsePckExtension(certificate: Certificate): PckExtension {
  const extension = certificate.extensions.get(SGX)
  if (extension === undefined) {
    throw new AttestError('PCK_EXTENSION', 'reading the PCK certificate: it has no SGX extension', {
      field: 'SGX extension',
      expected: SGX,
      actual: 'none',
    })
  }
  try {
    return readExtension(extension.value)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed('PCK_EXTENSION', 'reading the SGX extension', cause, {
      expected: 'DER of its 5 or 7 members, each once',
    })
  }
}

function readExtension(value: Uint8Array): PckExtension {
  const pairs = readPairs(readSequence(value, 'SGX extension'), SGX, 'SGX extension')
  const count = pairs.size
  if (count !== 5 && count !== 7) throw invalid('SGX extension', `has ${count} members, not 5 or 7`)
  const extension = {
    ppid: take(pairs, 1, 'PPID', (reader) => octets(reader, 'PPID', 16)),
    ...take(pairs, 2, 'TCB', readTcb),
    pceId: take(pairs, 3, 'PCE id', (reader) => octets(reader, 'PCE id', 2)),
    fmspc: take(pairs, 4, 'FMSPC', (reader) => octets(reader, 'FMSPC', 6)),
    sgxType: take(pairs, 5, 'SGX type', readSgxType),
  }
  if (count === 5) return extension
  const field = 'platform instance id'
  const instanceId = take(pairs, 6, field, (reader) => octets(reader, field, 16))
  const configuration = take(pairs, 7, 'configuration', readConfiguration)
  return { ...extension, platform: { instanceId, ...configuration } }
}

function readTcb(reader: DerReader): Pick<PckExtension, 'tcbComponents' | 'pceSvn' | 'cpuSvn'> {
  const pairs = readPairs(reader.sequence('TCB'), `${SGX}.2`, 'TCB')
  if (pairs.size !== COMPONENTS + 2) {
    throw invalid('TCB', `has ${pairs.size} members, not ${COMPONENTS + 2}`)
  }
  const tcbComponents = Array.from({ length: COMPONENTS }, (_, i) => {
    const field = `TCB component ${i + 1}`
    return take(pairs, i + 1, field, (component) => component.integer(field, 255))
  })
  return {
    tcbComponents,
    pceSvn: take(pairs, 17, 'PCESVN', (svn) => svn.integer('PCESVN', 65_535)),
    cpuSvn: take(pairs, 18, 'CPUSVN', (svn) => octets(svn, 'CPUSVN', 16)),
  }
}

function readSgxType(reader: DerReader): 0 | 1 | 2 {
  return reader.enumerated('SGX type', 2) as 0 | 1 | 2
}

function readConfiguration(reader: DerReader): Omit<PlatformConfiguration, 'instanceId'> {
  const pairs = readPairs(reader.sequence('configuration'), `${SGX}.7`, 'configuration')
  const flag = (suffix: number, field: string): boolean | undefined =>
    pairs.has(suffix) ? take(pairs, suffix, field, (value) => value.boolean(field)) : undefined
  const dynamicPlatform = flag(1, 'dynamic platform')
  const cachedKeys = flag(2, 'cached keys')
  const smtEnabled = flag(3, 'SMT enabled')
  const known = [dynamicPlatform, cachedKeys, smtEnabled].filter((value) => value !== undefined)
  if (known.length !== pairs.size) throw invalid('configuration', 'has a member that is not known')
  return {
    ...(dynamicPlatform !== undefined && { dynamicPlatform }),
    ...(cachedKeys !== undefined && { cachedKeys }),
    ...(smtEnabled !== undefined && { smtEnabled }),
  }
}

/** Reads SEQUENCE { OID, value } pairs under `prefix`, by the last arc; values stay unread. */
function readPairs(list: DerReader, prefix: string, what: string): Map<number, DerReader> {
  const pairs = new Map<number, DerReader>()
  while (!list.done) {
    const pair = list.sequence(what)
    const oid = pair.oid(`${what} OID`)
    const suffix = oid.startsWith(`${prefix}.`) ? oid.slice(prefix.length + 1) : ''
    if (!/^[0-9]{1,2}$/.test(suffix)) throw invalid(what, `has ${oid}, which is not known`)
    if (pairs.has(Number(suffix))) throw invalid(what, `has ${oid} twice`)
    pairs.set(Number(suffix), pair)
  }
  return pairs
}

function take<T>(
  pairs: ReadonlyMap<number, DerReader>,
  suffix: number,
  field: string,
  read: (reader: DerReader) => T,
): T {
  const reader = pairs.get(suffix)
  if (reader === undefined) throw invalid(field, 'is missing')
  const value = read(reader)
  reader.end(field)
  return value
}

function octets(reader: DerReader, field: string, length: number): Uint8Array {
  const value = reader.octets(field)
  if (value.length !== length) throw invalid(field, `has ${value.length} bytes, not ${length}`)
  return value
}

function invalid(field: string, found: string): FormatError {
  return new FormatError('FORMAT_INVALID', field, 0, found)
}
