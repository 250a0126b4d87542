import {
  aesCmac,
  encodeReport,
  encodeReportBody,
  KEY_NAME,
  parseKeyRequest,
  parseTargetInfo,
  REPORT_DATA_SIZE,
} from '#lib/attest'
import { FormatError } from '#lib/bytes'
import { TeeDeviceError } from '#protocol/tee-device'
import { type CpuSecrets, refused, reportKey, sealKey } from './key-dependencies.ts'
import type { EnclaveIdentity } from './secs.ts'

/** A processor with SGX in software: EREPORT and EGETKEY (SDM vol. 3D chapter 40). */
export interface Cpu {
  /** 16 bytes, the raw value that reports carry. */
  readonly cpuSvn: Uint8Array
  /** EREPORT: a REPORT (432 bytes) of `self` for the enclave of `targetInfo` (512 bytes). */
  report(self: EnclaveIdentity, targetInfo: Uint8Array, reportData: Uint8Array): Uint8Array
  /** EGETKEY: a key (16 bytes) of `self` for `keyRequest` (512 bytes). */
  key(self: EnclaveIdentity, keyRequest: Uint8Array): Uint8Array
}

/**
 * Builds the processor. `keyId` (32 random bytes, new at each boot) selects the report keys of this
 * run; a report of an earlier run still checks, since its KEYID travels with it.
 * Both instructions throw TeeDeviceError TEE_REQUEST_MALFORMED or TEE_KEY_REFUSED.
 */
export function createCpu(options: {
  readonly secrets: CpuSecrets
  readonly cpuSvn: Uint8Array
  readonly keyId: Uint8Array
}): Cpu {
  const { secrets, cpuSvn, keyId } = options
  return {
    cpuSvn,
    report(self, targetInfo, reportData) {
      const target = wellFormed('EREPORT', () => parseTargetInfo(targetInfo))
      if (reportData.length !== REPORT_DATA_SIZE) {
        throw malformed('EREPORT', `REPORTDATA has ${reportData.length} bytes`)
      }
      const body = { ...self, cpuSvn, reportData }
      const key = reportKey(secrets, cpuSvn, target, keyId)
      try {
        return encodeReport({ ...body, keyId, mac: aesCmac(key, encodeReportBody(body)) })
      } finally {
        key.fill(0)
      }
    },
    key(self, keyRequest) {
      const request = wellFormed('EGETKEY', () => parseKeyRequest(keyRequest))
      switch (request.keyName) {
        case KEY_NAME.REPORT:
          // The target of the reports is the caller itself: nobody else can check them.
          return reportKey(secrets, cpuSvn, self, request.keyId)
        case KEY_NAME.SEAL:
        case KEY_NAME.PROVISION_SEAL:
          return sealKey(secrets, cpuSvn, self, request)
        default:
          throw refused(`KEYNAME ${request.keyName} is not offered`)
      }
    },
  }
}

function wellFormed<T>(instruction: string, parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    if (error instanceof FormatError) throw malformed(instruction, error.message)
    throw error
  }
}

function malformed(instruction: string, found: string): TeeDeviceError {
  return new TeeDeviceError('TEE_REQUEST_MALFORMED', `${instruction}: ${found}`)
}
