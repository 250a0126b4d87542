import { FormatError, Reader, Writer } from '#lib/bytes'
import { AttestError, malformed } from '../attest-error.ts'
import { encodeReportBody, parseReportBody, REPORT_BODY_SIZE, type ReportBody } from './report.ts'

/** Largest quote we look at: 65535 bytes of QE auth data and a generous chain. */
export const MAX_QUOTE_SIZE: number = 128 * 1024

/** Attestation key type ECDSA over P-256, the only one in use. */
export const ATTESTATION_KEY_P256 = 2

/** Certification data type: the PCK chain as concatenated PEM. */
export const CERTIFICATION_PCK_CHAIN = 5

/** Certification data type of v4 and v5: QE report and, nested, the certification data proper. */
const CERTIFICATION_QE_REPORT = 6

/** Bytes of a header, before the body. */
const HEADER_SIZE = 48

/** Vendor id of Intel's quoting enclave; the simulated one carries it too. */
export const INTEL_QE_VENDOR_ID = '939a7233f79c4ca9940a0db3957f0607'

/** A kind of quote: what its header says, and the bodies that it may have. */
export interface QuoteKind {
  readonly teeType: number
  /** For messages. */
  readonly name: string
  /** Versions of the quote that have such bodies. */
  readonly versions: readonly number[]
  /** Body type of version 5 and its size; the first is the only one of versions 3 and 4. */
  readonly bodies: readonly { readonly type: number; readonly size: number }[]
}

const SGX_QUOTE: QuoteKind = {
  teeType: 0,
  name: '0 (SGX)',
  versions: [3, 4, 5],
  bodies: [{ type: 1, size: REPORT_BODY_SIZE }],
}

/** What quotes of every kind have beside their body. Byte strings are views of what was parsed. */
export interface QuoteFrame {
  readonly version: number
  readonly attestationKeyType: number
  /** 0: SGX, 0x81: TDX. */
  readonly teeType: number
  /** QE ISVSVN; reserved in versions 4 and 5. */
  readonly qeSvn: number
  /** Raw PCE ISVSVN, never used for TCB matching; reserved in versions 4 and 5. */
  readonly pceSvn: number
  /** 16 bytes. */
  readonly qeVendorId: Uint8Array
  /** 20 bytes: QE_ID, stable for a platform, and 4 zeros. */
  readonly userData: Uint8Array
  /** r‖s of the attestation key over `signed`. */
  readonly signature: Uint8Array
  /** x‖y on P-256, 64 bytes. */
  readonly attestationKey: Uint8Array
  readonly qeReport: ReportBody
  /** r‖s of the PCK key over the QE report's 384 bytes. */
  readonly qeReportSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  readonly certificationType: number
  readonly certificationData: Uint8Array
}

/** A parsed quote of any kind with the exact byte ranges that its signatures cover. */
export interface ParsedFrame extends QuoteFrame {
  /** Header and body as received: what the attestation key signed. */
  readonly signed: Uint8Array
  /** The QE report as received: what the PCK key signed. */
  readonly qeReportBytes: Uint8Array
}

/** A quote over an SGX report, versions 3, 4 and 5. */
export interface Quote extends QuoteFrame {
  readonly body: ReportBody
}

/** A parsed quote over an SGX report. */
export interface ParsedQuote extends ParsedFrame {
  readonly body: ReportBody
}

/**
 * The TEE type that a header names: 0 for SGX, 0x81 for TDX; undefined for what is too short. Only
 * for choosing a parser, which checks it again.
 */
export function peekTeeType(bytes: Uint8Array): number | undefined {
  if (bytes.length < HEADER_SIZE) return undefined
  const reader = new Reader(bytes)
  reader.bytes(4, 'version and attestation key type')
  return reader.u32le('TEE type')
}

/**
 * Parses a quote over an SGX report. Nothing is verified. Zero padding may follow it, as TDX quotes have;
 * anything else there is refused, for nothing covers it.
 * Throws AttestError QUOTE_FORMAT, QUOTE_VERSION, QUOTE_TEE_TYPE or QUOTE_ATT_KEY_TYPE.
 */
export function parseQuote(bytes: Uint8Array): ParsedQuote {
  const { frame, body } = parseFrame(bytes, SGX_QUOTE)
  return { ...frame, body: parseReportBody(body) }
}

/**
 * Parses everything but the body of a quote of one kind, and cuts the body out.
 * Throws as `parseQuote` does.
 */
export function parseFrame(
  bytes: Uint8Array,
  kind: QuoteKind,
): { readonly frame: ParsedFrame; readonly body: Uint8Array; readonly bodyType: number } {
  try {
    return readFrame(bytes, kind)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed('QUOTE_FORMAT', 'parsing the quote', cause, {
      expected: 'a quote of version 3, 4 or 5 and nothing but zeros after it',
    })
  }
}

/**
 * Encodes a version 3 quote, as quoting enclaves for SGX write it. RangeError if a field has
 * another size than its place. The QE signs `encodeSignedPart` first, then calls this.
 */
export function encodeQuote(quote: Quote): Uint8Array<ArrayBuffer> {
  const data = new Writer()
    .bytes(sized(quote.signature, 64, 'signature'))
    .bytes(sized(quote.attestationKey, 64, 'attestationKey'))
    .bytes(encodeReportBody(quote.qeReport))
    .bytes(sized(quote.qeReportSignature, 64, 'qeReportSignature'))
    .u16le(quote.qeAuthData.length)
    .bytes(quote.qeAuthData)
    .u16le(quote.certificationType)
    .u32le(quote.certificationData.length)
    .bytes(quote.certificationData)
    .finish()
  return new Writer().bytes(encodeSignedPart(quote)).u32le(data.length).bytes(data).finish()
}

/** The 432 bytes of a version 3 quote that the attestation key signs: header and body. */
export function encodeSignedPart(
  quote: Pick<Quote, 'qeSvn' | 'pceSvn' | 'qeVendorId' | 'userData' | 'body'>,
): Uint8Array<ArrayBuffer> {
  return new Writer()
    .u16le(3)
    .u16le(ATTESTATION_KEY_P256)
    .u32le(0)
    .u16le(quote.qeSvn)
    .u16le(quote.pceSvn)
    .bytes(sized(quote.qeVendorId, 16, 'qeVendorId'))
    .bytes(sized(quote.userData, 20, 'userData'))
    .bytes(encodeReportBody(quote.body))
    .finish()
}

function readFrame(bytes: Uint8Array, kind: QuoteKind): ReturnType<typeof parseFrame> {
  if (bytes.length > MAX_QUOTE_SIZE) {
    const found = `has ${bytes.length} bytes, the limit is ${MAX_QUOTE_SIZE}`
    throw new FormatError('FORMAT_LIMIT', 'quote', 0, found)
  }
  const reader = new Reader(bytes)
  const version = reader.u16le('version')
  if (version < 3 || version > 5) throw refused('QUOTE_VERSION', 'version', '3, 4 or 5', version)
  const attestationKeyType = reader.u16le('attestation key type')
  const teeType = reader.u32le('TEE type')
  if (teeType !== kind.teeType || !kind.versions.includes(version)) {
    const actual = `0x${teeType.toString(16)} in version ${version}`
    throw refused('QUOTE_TEE_TYPE', 'TEE type', kind.name, actual)
  }
  if (attestationKeyType !== ATTESTATION_KEY_P256) {
    const expected = '2 (ECDSA P-256)'
    throw refused('QUOTE_ATT_KEY_TYPE', 'attestation key type', expected, attestationKeyType)
  }
  const header = {
    version,
    attestationKeyType,
    teeType,
    qeSvn: reader.u16le('QE SVN'),
    pceSvn: reader.u16le('PCE SVN'),
    qeVendorId: reader.bytes(16, 'QE vendor id'),
    userData: reader.bytes(20, 'user data'),
  }
  const { type: bodyType, size } = readBodyHeader(reader, version, kind)
  const body = reader.bytes(size, 'report body')
  const signed = bytes.subarray(0, reader.offset)
  const length = reader.countLe('signature data length', MAX_QUOTE_SIZE)
  const data = new Reader(reader.bytes(length, 'signature data'))
  reader.zeros(reader.remaining, 'padding after the quote')
  const signatures = readSignatureData(data, version)
  data.end('signature data')
  return { frame: { ...header, signed, ...signatures }, body, bodyType }
}

/** Version 5 names the type and the size of its body; before, the TEE type decides. */
function readBodyHeader(
  reader: Reader,
  version: number,
  { bodies }: QuoteKind,
): QuoteKind['bodies'][number] {
  const [only] = bodies
  if (only === undefined) throw new TypeError('a kind of quote has a body')
  if (version !== 5) return only
  const type = reader.u16le('body type')
  const body = bodies.find((candidate) => candidate.type === type)
  if (body === undefined) {
    const known = bodies.map((candidate) => candidate.type).join(' or ')
    throw refused('QUOTE_TEE_TYPE', 'body type', known, type)
  }
  const size = reader.u32le('body size')
  if (size === body.size) return body
  throw new FormatError('FORMAT_INVALID', 'body size', 50, `is ${size}, not ${body.size}`)
}

type SignatureData = Omit<
  ParsedFrame,
  | 'version'
  | 'attestationKeyType'
  | 'teeType'
  | 'qeSvn'
  | 'pceSvn'
  | 'qeVendorId'
  | 'userData'
  | 'signed'
>

function readSignatureData(reader: Reader, version: number): SignatureData {
  const signature = reader.bytes(64, 'quote signature')
  const attestationKey = reader.bytes(64, 'attestation key')
  if (version === 3) return { signature, attestationKey, ...readQeReport(reader) }
  const type = reader.u16le('outer certification data type')
  if (type !== CERTIFICATION_QE_REPORT) {
    const found = `is ${type}, not 6 (QE report)`
    throw new FormatError('FORMAT_INVALID', 'outer certification data type', 128, found)
  }
  const length = reader.countLe('outer certification data size', MAX_QUOTE_SIZE)
  const nested = new Reader(reader.bytes(length, 'outer certification data'))
  const qe = readQeReport(nested)
  nested.end('outer certification data')
  return { signature, attestationKey, ...qe }
}

function readQeReport(reader: Reader): Omit<SignatureData, 'signature' | 'attestationKey'> {
  const qeReportBytes = reader.bytes(REPORT_BODY_SIZE, 'QE report')
  const qeReportSignature = reader.bytes(64, 'QE report signature')
  const qeAuthData = reader.bytes(reader.u16le('QE auth data length'), 'QE auth data')
  const certificationType = reader.u16le('certification data type')
  const size = reader.countLe('certification data size', MAX_QUOTE_SIZE)
  const certificationData = reader.bytes(size, 'certification data')
  return {
    qeReport: parseReportBody(qeReportBytes),
    qeReportBytes,
    qeReportSignature,
    qeAuthData,
    certificationType,
    certificationData,
  }
}

function refused(
  code: 'QUOTE_VERSION' | 'QUOTE_TEE_TYPE' | 'QUOTE_ATT_KEY_TYPE',
  field: string,
  expected: string,
  actual: string | number,
): AttestError {
  return new AttestError(code, `parsing the quote: ${field} is ${actual}`, {
    field,
    expected,
    actual: String(actual),
  })
}

function sized(bytes: Uint8Array, size: number, field: string): Uint8Array {
  if (bytes.length !== size) {
    throw new RangeError(`${field} has ${bytes.length} bytes, ${size} are needed`)
  }
  return bytes
}
