import { FormatError, Reader, Writer } from '#lib/bytes'
import { AttestError } from '../attest-error.ts'
import { encodeReportBody, parseReportBody, REPORT_BODY_SIZE, type ReportBody } from './report.ts'

/** Largest quote we look at: 65535 bytes of QE auth data and a generous chain. */
export const MAX_QUOTE_SIZE: number = 128 * 1024

/** Attestation key type ECDSA over P-256, the only one in use. */
export const ATTESTATION_KEY_P256 = 2

/** Certification data type: the PCK chain as concatenated PEM. */
export const CERTIFICATION_PCK_CHAIN = 5

/** Certification data type of v4 and v5: QE report and, nested, the certification data proper. */
const CERTIFICATION_QE_REPORT = 6

/** Vendor id of Intel's quoting enclave; the simulated one carries it too. */
export const INTEL_QE_VENDOR_ID = '939a7233f79c4ca9940a0db3957f0607'

/** Type of a v5 body that is an SGX report. */
const BODY_SGX_REPORT = 1

/** A quote over an SGX report, versions 3, 4 and 5. Byte strings are views of what was parsed. */
export interface Quote {
  readonly version: number
  readonly attestationKeyType: number
  /** 0: SGX. */
  readonly teeType: number
  /** QE ISVSVN; reserved in versions 4 and 5. */
  readonly qeSvn: number
  /** Raw PCE ISVSVN, never used for TCB matching; reserved in versions 4 and 5. */
  readonly pceSvn: number
  /** 16 bytes. */
  readonly qeVendorId: Uint8Array
  /** 20 bytes: QE_ID, stable for a platform, and 4 zeros. */
  readonly userData: Uint8Array
  readonly body: ReportBody
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

/** A parsed quote with the exact byte ranges that its signatures cover. */
export interface ParsedQuote extends Quote {
  /** Header and body as received: what the attestation key signed. */
  readonly signed: Uint8Array
  /** The QE report as received: what the PCK key signed. */
  readonly qeReportBytes: Uint8Array
}

/**
 * Parses a quote. Nothing is verified. Zero padding may follow it, as TDX quotes have;
 * anything else there is refused, for nothing covers it.
 * Throws AttestError QUOTE_FORMAT, QUOTE_VERSION, QUOTE_TEE_TYPE or QUOTE_ATT_KEY_TYPE.
 */
export function parseQuote(bytes: Uint8Array): ParsedQuote {
  try {
    return readQuote(bytes)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw new AttestError('QUOTE_FORMAT', `parsing the quote: ${cause.message}`, {
      field: cause.field,
      cause,
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

function readQuote(bytes: Uint8Array): ParsedQuote {
  if (bytes.length > MAX_QUOTE_SIZE) {
    const found = `has ${bytes.length} bytes, the limit is ${MAX_QUOTE_SIZE}`
    throw new FormatError('FORMAT_LIMIT', 'quote', 0, found)
  }
  const reader = new Reader(bytes)
  const version = reader.u16le('version')
  if (version < 3 || version > 5) throw refused('QUOTE_VERSION', 'version', '3, 4 or 5', version)
  const attestationKeyType = reader.u16le('attestation key type')
  const teeType = reader.u32le('TEE type')
  if (teeType !== 0) {
    throw refused('QUOTE_TEE_TYPE', 'TEE type', '0 (SGX)', `0x${teeType.toString(16)}`)
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
  if (version === 5) {
    const type = reader.u16le('body type')
    if (type !== BODY_SGX_REPORT) throw refused('QUOTE_TEE_TYPE', 'body type', '1 (SGX)', type)
    const size = reader.u32le('body size')
    if (size !== REPORT_BODY_SIZE) {
      throw new FormatError('FORMAT_INVALID', 'body size', 50, `is ${size}, not 384`)
    }
  }
  const body = parseReportBody(reader.bytes(REPORT_BODY_SIZE, 'report body'))
  const signed = bytes.subarray(0, reader.offset)
  const length = reader.countLe('signature data length', MAX_QUOTE_SIZE)
  const data = new Reader(reader.bytes(length, 'signature data'))
  reader.zeros(reader.remaining, 'padding after the quote')
  const signatures = readSignatureData(data, version)
  data.end('signature data')
  return { ...header, body, signed, ...signatures }
}

type SignatureData = Omit<
  ParsedQuote,
  | 'version'
  | 'attestationKeyType'
  | 'teeType'
  | 'qeSvn'
  | 'pceSvn'
  | 'qeVendorId'
  | 'userData'
  | 'body'
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
