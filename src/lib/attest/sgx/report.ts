import { Reader, Writer } from '#lib/bytes'

/** Bytes of a report body, the part of a REPORT that goes into quotes. */
export const REPORT_BODY_SIZE = 384

/** Bytes of a REPORT: body 384 + KEYID 32 + MAC 16. */
export const REPORT_SIZE = 432

/** Bytes of REPORTDATA. */
export const REPORT_DATA_SIZE = 64

/** Identity of an enclave as the CPU reports it. Byte strings are views of what was parsed. */
export interface ReportBody {
  /** Opaque, 16 bytes: not comparable with TCB components. */
  readonly cpuSvn: Uint8Array
  readonly miscSelect: number
  /** 12 bytes; the first is CET_ATTRIBUTES on processors that have CET. Zero when absent. */
  readonly reserved1?: Uint8Array
  /** 16 bytes, KSS. */
  readonly isvExtProdId: Uint8Array
  /** ATTRIBUTES.FLAGS, see `FLAGS`. */
  readonly flags: bigint
  /** ATTRIBUTES.XFRM. */
  readonly xfrm: bigint
  /** 32 bytes: what the enclave is. */
  readonly mrEnclave: Uint8Array
  /** 32 bytes, zero when absent. */
  readonly reserved2?: Uint8Array
  /** 32 bytes: who signed it. */
  readonly mrSigner: Uint8Array
  /** 32 bytes, zero when absent. */
  readonly reserved3?: Uint8Array
  /** 64 bytes given by the host at launch, KSS; the init-data digest, zero-padded. */
  readonly configId: Uint8Array
  readonly isvProdId: number
  readonly isvSvn: number
  /** KSS. */
  readonly configSvn: number
  /** 42 bytes, zero when absent. */
  readonly reserved4?: Uint8Array
  /** 16 bytes, KSS. */
  readonly isvFamilyId: Uint8Array
  /** 64 bytes chosen by the enclave. */
  readonly reportData: Uint8Array
}

/** A REPORT: what EREPORT returns. The MAC covers the body alone (bytes 0..383). */
export interface Report extends ReportBody {
  /** 32 bytes; selects the report key. */
  readonly keyId: Uint8Array
  /** AES-128-CMAC of the body under the target's report key. */
  readonly mac: Uint8Array
}

/** Parses 384 bytes. Reserved fields are kept, so that encoding gives the same bytes. */
export function parseReportBody(bytes: Uint8Array): ReportBody {
  const reader = new Reader(bytes)
  const body = readBody(reader)
  reader.end('report body')
  return body
}

/** Parses 432 bytes. The MAC is not checked: `Tee.verifyReport` does that. */
export function parseReport(bytes: Uint8Array): Report {
  const reader = new Reader(bytes)
  const report = {
    ...readBody(reader),
    keyId: reader.bytes(32, 'KEYID'),
    mac: reader.bytes(16, 'MAC'),
  }
  reader.end('report')
  return report
}

/** Encodes a body as 384 bytes. RangeError if a field has another size than its place. */
export function encodeReportBody(body: ReportBody): Uint8Array<ArrayBuffer> {
  return new Writer()
    .bytes(sized(body.cpuSvn, 16, 'cpuSvn'))
    .u32le(body.miscSelect)
    .bytes(reserved(body.reserved1, 12, 'reserved1'))
    .bytes(sized(body.isvExtProdId, 16, 'isvExtProdId'))
    .u64le(body.flags)
    .u64le(body.xfrm)
    .bytes(sized(body.mrEnclave, 32, 'mrEnclave'))
    .bytes(reserved(body.reserved2, 32, 'reserved2'))
    .bytes(sized(body.mrSigner, 32, 'mrSigner'))
    .bytes(reserved(body.reserved3, 32, 'reserved3'))
    .bytes(sized(body.configId, 64, 'configId'))
    .u16le(body.isvProdId)
    .u16le(body.isvSvn)
    .u16le(body.configSvn)
    .bytes(reserved(body.reserved4, 42, 'reserved4'))
    .bytes(sized(body.isvFamilyId, 16, 'isvFamilyId'))
    .bytes(sized(body.reportData, REPORT_DATA_SIZE, 'reportData'))
    .finish()
}

/** Encodes a REPORT as 432 bytes. RangeError if a field has another size than its place. */
export function encodeReport(report: Report): Uint8Array<ArrayBuffer> {
  return new Writer()
    .bytes(encodeReportBody(report))
    .bytes(sized(report.keyId, 32, 'keyId'))
    .bytes(sized(report.mac, 16, 'mac'))
    .finish()
}

function readBody(reader: Reader): ReportBody {
  return {
    cpuSvn: reader.bytes(16, 'CPUSVN'),
    miscSelect: reader.u32le('MISCSELECT'),
    reserved1: reader.bytes(12, 'reserved bytes 20..31'),
    isvExtProdId: reader.bytes(16, 'ISVEXTPRODID'),
    flags: reader.u64le('ATTRIBUTES.FLAGS'),
    xfrm: reader.u64le('ATTRIBUTES.XFRM'),
    mrEnclave: reader.bytes(32, 'MRENCLAVE'),
    reserved2: reader.bytes(32, 'reserved bytes 96..127'),
    mrSigner: reader.bytes(32, 'MRSIGNER'),
    reserved3: reader.bytes(32, 'reserved bytes 160..191'),
    configId: reader.bytes(64, 'CONFIGID'),
    isvProdId: reader.u16le('ISVPRODID'),
    isvSvn: reader.u16le('ISVSVN'),
    configSvn: reader.u16le('CONFIGSVN'),
    reserved4: reader.bytes(42, 'reserved bytes 262..303'),
    isvFamilyId: reader.bytes(16, 'ISVFAMILYID'),
    reportData: reader.bytes(REPORT_DATA_SIZE, 'REPORTDATA'),
  }
}

function reserved(bytes: Uint8Array | undefined, size: number, field: string): Uint8Array {
  return bytes === undefined ? new Uint8Array(size) : sized(bytes, size, field)
}

function sized(bytes: Uint8Array, size: number, field: string): Uint8Array {
  if (bytes.length !== size) {
    throw new RangeError(`${field} has ${bytes.length} bytes, ${size} are needed`)
  }
  return bytes
}
