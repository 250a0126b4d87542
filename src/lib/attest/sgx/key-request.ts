import { Reader, Writer } from '#lib/bytes'

/** Bytes of a KEYREQUEST. */
export const KEY_REQUEST_SIZE = 512

/** Keys that EGETKEY can derive (SDM vol. 3D, "KEYREQUEST.KEYNAME"). */
export const KEY_NAME = {
  EINITTOKEN: 0,
  PROVISION: 1,
  PROVISION_SEAL: 2,
  REPORT: 3,
  SEAL: 4,
} as const

/** Bits of KEYREQUEST.KEYPOLICY: which parts of the identity a key is bound to. */
export const KEY_POLICY = {
  MRENCLAVE: 0x01,
  MRSIGNER: 0x02,
  NOISVPRODID: 0x04,
  CONFIGID: 0x08,
  ISVFAMILYID: 0x10,
  ISVEXTPRODID: 0x20,
} as const

/** Input of EGETKEY. */
export interface KeyRequest {
  /** A value of `KEY_NAME`. */
  readonly keyName: number
  /** Bits of `KEY_POLICY`. */
  readonly keyPolicy: number
  /** At most the enclave's own. */
  readonly isvSvn: number
  /** 16 bytes; at most the platform's own. */
  readonly cpuSvn: Uint8Array
  /** Bits of FLAGS the key is bound to; INIT and DEBUG always are. */
  readonly flagsMask: bigint
  readonly xfrmMask: bigint
  /** 32 bytes. */
  readonly keyId: Uint8Array
  readonly miscMask: number
  readonly configSvn: number
}

/** Parses 512 bytes; reserved fields must be zero, as EGETKEY demands. */
export function parseKeyRequest(bytes: Uint8Array): KeyRequest {
  const reader = new Reader(bytes)
  const keyName = reader.u16le('KEYNAME')
  const keyPolicy = reader.u16le('KEYPOLICY')
  const isvSvn = reader.u16le('ISVSVN')
  reader.zeros(2, 'reserved bytes 6..7')
  const cpuSvn = reader.bytes(16, 'CPUSVN')
  const flagsMask = reader.u64le('ATTRIBUTEMASK.FLAGS')
  const xfrmMask = reader.u64le('ATTRIBUTEMASK.XFRM')
  const keyId = reader.bytes(32, 'KEYID')
  const miscMask = reader.u32le('MISCMASK')
  const configSvn = reader.u16le('CONFIGSVN')
  reader.zeros(434, 'reserved bytes 78..511')
  reader.end('key request')
  return {
    keyName,
    keyPolicy,
    isvSvn,
    cpuSvn,
    flagsMask,
    xfrmMask,
    keyId,
    miscMask,
    configSvn,
  }
}

/** Encodes 512 bytes. RangeError if a field has another size than its place. */
export function encodeKeyRequest(request: KeyRequest): Uint8Array<ArrayBuffer> {
  if (request.cpuSvn.length !== 16) throw new RangeError('cpuSvn needs 16 bytes')
  if (request.keyId.length !== 32) throw new RangeError('keyId needs 32 bytes')
  return new Writer()
    .u16le(request.keyName)
    .u16le(request.keyPolicy)
    .u16le(request.isvSvn)
    .zeros(2)
    .bytes(request.cpuSvn)
    .u64le(request.flagsMask)
    .u64le(request.xfrmMask)
    .bytes(request.keyId)
    .u32le(request.miscMask)
    .u16le(request.configSvn)
    .zeros(434)
    .finish()
}
