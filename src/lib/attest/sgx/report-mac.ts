import { equalSecret } from '#lib/bytes'
import { aesCmac } from './cmac.ts'
import { encodeKeyRequest, KEY_NAME } from './key-request.ts'
import { parseReport, REPORT_BODY_SIZE } from './report.ts'

/** KEYREQUEST (512 bytes) of the REPORT key that a REPORT was made under, for its target to ask with. */
export function reportKeyRequest(report: Uint8Array): Uint8Array {
  return encodeKeyRequest({
    keyName: KEY_NAME.REPORT,
    keyPolicy: 0,
    isvSvn: 0,
    cpuSvn: new Uint8Array(16),
    flagsMask: 0n,
    xfrmMask: 0n,
    keyId: parseReport(report).keyId,
    miscMask: 0,
    configSvn: 0,
  })
}

/**
 * True if the MAC of a REPORT (432 bytes) holds under the target's own REPORT key. One check covers body,
 * target and platform: each of them changes the key or the MAC. Wipes the key. FormatError if the
 * report has another size.
 */
export function reportMacHolds(report: Uint8Array, key: Uint8Array): boolean {
  try {
    return equalSecret(aesCmac(key, report.subarray(0, REPORT_BODY_SIZE)), parseReport(report).mac)
  } finally {
    key.fill(0)
  }
}
