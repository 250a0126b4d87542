import { Reader } from '#lib/bytes'

/** Bytes of a TD report of version 1.0. */
export const TD_REPORT_10_SIZE = 584

/** Bytes of a TD report of version 1.5: 584, TEE_TCB_SVN2 16 and MRSERVICETD 48. */
export const TD_REPORT_15_SIZE = 648

/** Bits of TDATTRIBUTES. */
export const TD_ATTRIBUTES: Readonly<Record<'DEBUG' | 'SEPT_VE_DISABLE', bigint>> = {
  /** Bits 0 to 7, the group "TD under debug": the host can read the memory if any is set. */
  DEBUG: 0xffn,
  /** Exceptions for pages that the host took away are off, as a guest needs it. */
  SEPT_VE_DISABLE: 0x1000_0000n,
}

/** Identity of a trust domain as the TDX module reports it. Byte strings are views. */
export interface TdReport {
  readonly version: '1.0' | '1.5'
  /** 16 SVNs of the TDX module and its loaders at launch: byte 1 is the module's major version. */
  readonly teeTcbSvn: Uint8Array
  /** 48 bytes: the TDX module. */
  readonly mrSeam: Uint8Array
  /** 48 bytes: who signed the TDX module. */
  readonly mrSignerSeam: Uint8Array
  /** 8 bytes as they lie in the report. */
  readonly seamAttributes: Uint8Array
  /** See `TD_ATTRIBUTES`. */
  readonly tdAttributes: bigint
  readonly xfam: bigint
  /** 48 bytes: what the domain was launched from. */
  readonly mrTd: Uint8Array
  /** 48 bytes each, given at launch. */
  readonly mrConfigId: Uint8Array
  readonly mrOwner: Uint8Array
  readonly mrOwnerConfig: Uint8Array
  /** Four of 48 bytes, extended by the guest. */
  readonly rtmr: readonly Uint8Array[]
  /** 64 bytes chosen by the domain. */
  readonly reportData: Uint8Array
  /** SVNs of the module that runs now; version 1.5. */
  readonly teeTcbSvn2?: Uint8Array
  /** 48 bytes: the service domain that is bound; version 1.5. */
  readonly mrServiceTd?: Uint8Array
}

/** Parses the body of a TDX quote (docs/formats/quote.md, Body of TDX). Throws FormatError. */
export function parseTdReport(bytes: Uint8Array, version: TdReport['version']): TdReport {
  const reader = new Reader(bytes)
  const report: TdReport = {
    version,
    teeTcbSvn: reader.bytes(16, 'TEE_TCB_SVN'),
    mrSeam: reader.bytes(48, 'MRSEAM'),
    mrSignerSeam: reader.bytes(48, 'MRSIGNERSEAM'),
    seamAttributes: reader.bytes(8, 'SEAMATTRIBUTES'),
    tdAttributes: reader.u64le('TDATTRIBUTES'),
    xfam: reader.u64le('XFAM'),
    mrTd: reader.bytes(48, 'MRTD'),
    mrConfigId: reader.bytes(48, 'MRCONFIGID'),
    mrOwner: reader.bytes(48, 'MROWNER'),
    mrOwnerConfig: reader.bytes(48, 'MROWNERCONFIG'),
    rtmr: [0, 1, 2, 3].map((i) => reader.bytes(48, `RTMR${i}`)),
    reportData: reader.bytes(64, 'REPORTDATA'),
    ...(version === '1.5' && {
      teeTcbSvn2: reader.bytes(16, 'TEE_TCB_SVN2'),
      mrServiceTd: reader.bytes(48, 'MRSERVICETD'),
    }),
  }
  reader.end('TD report')
  return report
}
