import { createHash } from 'node:crypto'
import {
  aesCmac,
  encodeReport,
  encodeReportBody,
  encodeTargetInfo,
  FLAGS,
  parseTargetInfo,
  type ReportBody,
  type Tee,
  targetInfoOf,
} from '#lib/attest'
import { equalSecret } from '#lib/bytes'

/** What a test says of an enclave; the rest is that of an ordinary one. */
export interface LocalEnclave {
  readonly mrEnclave?: Uint8Array
  readonly mrSigner?: Uint8Array
  readonly configId?: Uint8Array
  readonly isvProdId?: number
  readonly isvSvn?: number
  readonly flags?: bigint
}

/** A machine that makes and checks local reports, with no quoting: enough for a handover. */
export interface LocalPlatform {
  tee(enclave: LocalEnclave): Tee
}

const ORDINARY = FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.KSS

/** A machine whose report keys derive from `secret` (16 bytes), as EGETKEY derives them from the target's identity. */
export function localPlatform(secret: Uint8Array): LocalPlatform {
  const reportKey = (targetInfo: Uint8Array): Uint8Array =>
    aesCmac(secret, new Uint8Array(createHash('sha256').update(targetInfo).digest()))
  return {
    tee(enclave) {
      const body: ReportBody = {
        cpuSvn: new Uint8Array(16),
        miscSelect: 0,
        isvExtProdId: new Uint8Array(16),
        flags: enclave.flags ?? ORDINARY,
        xfrm: 3n,
        mrEnclave: enclave.mrEnclave ?? new Uint8Array(32),
        mrSigner: enclave.mrSigner ?? new Uint8Array(32),
        configId: enclave.configId ?? new Uint8Array(64),
        isvProdId: enclave.isvProdId ?? 0,
        isvSvn: enclave.isvSvn ?? 0,
        configSvn: 0,
        isvFamilyId: new Uint8Array(16),
        reportData: new Uint8Array(64),
      }
      const own = encodeTargetInfo(targetInfoOf(body))
      return {
        platform: 'simulated',
        capabilities: { localReports: true },
        targetInfo: async () => own.slice(),
        async report(targetInfo, reportData) {
          const full = { ...body, reportData }
          parseTargetInfo(targetInfo)
          const mac = aesCmac(reportKey(targetInfo), encodeReportBody(full))
          return encodeReport({ ...full, keyId: new Uint8Array(32), mac })
        },
        async verifyReport(report) {
          if (report.length !== 432) return false
          const mac = aesCmac(reportKey(own), report.subarray(0, 384))
          return equalSecret(mac, report.subarray(416))
        },
        quote: async () => Promise.reject(new Error('this platform makes no quotes')),
        sealingKey: async () => Promise.reject(new Error('this platform makes no keys')),
      }
    },
  }
}
