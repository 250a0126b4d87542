import { Reader, Writer } from '#lib/bytes'
import type { ReportBody } from './report.ts'

/** Bytes of a TARGETINFO. */
export const TARGET_INFO_SIZE = 512

/** Names the enclave that may check a report's MAC. */
export interface TargetInfo {
  /** 32 bytes. */
  readonly mrEnclave: Uint8Array
  readonly flags: bigint
  readonly xfrm: bigint
  /** CET_ATTRIBUTES of the target; zero on processors without CET and when absent. */
  readonly cetAttributes?: number
  readonly configSvn: number
  readonly miscSelect: number
  /** 64 bytes. */
  readonly configId: Uint8Array
}

/** Parses 512 bytes; reserved fields must be zero, as EREPORT demands. */
export function parseTargetInfo(bytes: Uint8Array): TargetInfo {
  const reader = new Reader(bytes)
  const mrEnclave = reader.bytes(32, 'MRENCLAVE')
  const flags = reader.u64le('ATTRIBUTES.FLAGS')
  const xfrm = reader.u64le('ATTRIBUTES.XFRM')
  const cetAttributes = reader.u8('CET_ATTRIBUTES')
  reader.zeros(1, 'reserved byte 49')
  const configSvn = reader.u16le('CONFIGSVN')
  const miscSelect = reader.u32le('MISCSELECT')
  reader.zeros(8, 'reserved bytes 56..63')
  const configId = reader.bytes(64, 'CONFIGID')
  reader.zeros(384, 'reserved bytes 128..511')
  reader.end('target info')
  return { mrEnclave, flags, xfrm, cetAttributes, configSvn, miscSelect, configId }
}

/** Encodes 512 bytes. RangeError if a field has another size than its place. */
export function encodeTargetInfo(target: TargetInfo): Uint8Array<ArrayBuffer> {
  if (target.mrEnclave.length !== 32) throw new RangeError('mrEnclave needs 32 bytes')
  if (target.configId.length !== 64) throw new RangeError('configId needs 64 bytes')
  return new Writer()
    .bytes(target.mrEnclave)
    .u64le(target.flags)
    .u64le(target.xfrm)
    .u8(target.cetAttributes ?? 0)
    .zeros(1)
    .u16le(target.configSvn)
    .u32le(target.miscSelect)
    .zeros(8)
    .bytes(target.configId)
    .zeros(384)
    .finish()
}

/** The TARGETINFO of the enclave that a report describes. */
export function targetInfoOf(report: ReportBody): TargetInfo {
  return {
    mrEnclave: report.mrEnclave,
    flags: report.flags,
    xfrm: report.xfrm,
    cetAttributes: report.reserved1?.[0] ?? 0,
    configSvn: report.configSvn,
    miscSelect: report.miscSelect,
    configId: report.configId,
  }
}
