import { type KeyObject, sign } from 'node:crypto'
import {
  ATTESTATION_KEY_P256,
  CERTIFICATION_PCK_CHAIN,
  encodeQuote,
  encodeSignedPart,
  encodeTargetInfo,
  INTEL_QE_VENDOR_ID,
  parseReportBody,
  REPORT_BODY_SIZE,
  REPORT_SIZE,
  reportKeyRequest,
  reportMacHolds,
} from '#lib/attest'
import { concat, fromHex } from '#lib/bytes'
import { TeeDeviceError } from '#protocol/tee-device'
import type { Cpu } from './cpu.ts'
import { QE_ISVSVN, quotingEnclaveIdentity } from './quoting-identity.ts'

/** What provisioning gave the quoting enclave of one platform. */
export interface Provisioning {
  /** P-256 private key that signs quotes. */
  readonly attestationKey: KeyObject
  /** Its public point x‖y, 64 bytes. */
  readonly attestationPoint: Uint8Array
  /** 384 bytes: names the attestation key, signed by the PCK key. */
  readonly qeReport: Uint8Array
  /** r‖s, 64 bytes. */
  readonly qeReportSignature: Uint8Array
  readonly qeAuthData: Uint8Array
  /** 16 bytes, stable for the platform. */
  readonly qeId: Uint8Array
  readonly pceSvn: number
  /** Certification data of type 5: the PCK chain as PEM with a trailing NUL. */
  readonly pckChain: Uint8Array
}

/** The enclave that turns reports into quotes. */
export interface QuotingEnclave {
  /** TARGETINFO (512 bytes) to make a report for it. */
  targetInfo(): Uint8Array
  /**
   * A version 3 quote of the enclave that `report` (432 bytes) describes. Throws TeeDeviceError
   * TEE_REPORT_REFUSED unless this processor made the report, unaltered, for the quoting enclave.
   */
  quote(report: Uint8Array): Uint8Array
}

/** The quoting enclave of a processor; it checks reports with its own REPORT key, as any enclave. */
export function createQuotingEnclave(cpu: Cpu, provisioning: Provisioning): QuotingEnclave {
  const self = quotingEnclaveIdentity()
  const qeReport = parseReportBody(provisioning.qeReport)
  return {
    targetInfo: () => encodeTargetInfo(self),
    quote(bytes) {
      checkReport(cpu, bytes)
      const head = {
        qeSvn: QE_ISVSVN,
        pceSvn: provisioning.pceSvn,
        qeVendorId: fromHex(INTEL_QE_VENDOR_ID, 'QE vendor id'),
        userData: concat(provisioning.qeId, new Uint8Array(4)),
        body: parseReportBody(bytes.subarray(0, REPORT_BODY_SIZE)),
      }
      const signature = sign('sha256', encodeSignedPart(head), {
        key: provisioning.attestationKey,
        dsaEncoding: 'ieee-p1363',
      })
      return encodeQuote({
        ...head,
        version: 3,
        attestationKeyType: ATTESTATION_KEY_P256,
        teeType: 0,
        signature,
        attestationKey: provisioning.attestationPoint,
        qeReport,
        qeReportSignature: provisioning.qeReportSignature,
        qeAuthData: provisioning.qeAuthData,
        certificationType: CERTIFICATION_PCK_CHAIN,
        certificationData: provisioning.pckChain,
      })
    },
  }
}

function checkReport(cpu: Cpu, bytes: Uint8Array): void {
  if (bytes.length !== REPORT_SIZE) {
    throw new TeeDeviceError('TEE_REQUEST_MALFORMED', `quoting: report has ${bytes.length} bytes`)
  }
  if (reportMacHolds(bytes, cpu.key(quotingEnclaveIdentity(), reportKeyRequest(bytes)))) return
  throw new TeeDeviceError(
    'TEE_REPORT_REFUSED',
    'quoting: the report was not made by this platform for its quoting enclave, or was altered',
  )
}
