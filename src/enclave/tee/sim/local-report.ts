import { aesCmac, encodeKeyRequest, KEY_NAME, parseReport, REPORT_BODY_SIZE } from '#lib/attest'
import { equalSecret } from '#lib/bytes'
import type { DeviceClient } from './device-client.ts'

/**
 * Checks a REPORT (432 bytes) with this enclave's own REPORT key: true if this processor made it,
 * unaltered, for this enclave. FormatError if it has another size.
 */
export async function checkLocalReport(device: DeviceClient, report: Uint8Array): Promise<boolean> {
  const { keyId, mac } = parseReport(report)
  const request = encodeKeyRequest({
    keyName: KEY_NAME.REPORT,
    keyPolicy: 0,
    isvSvn: 0,
    cpuSvn: new Uint8Array(16),
    flagsMask: 0n,
    xfrmMask: 0n,
    keyId,
    miscMask: 0,
    configSvn: 0,
  })
  const key = await device.call('key', request)
  try {
    return equalSecret(aesCmac(key, report.subarray(0, REPORT_BODY_SIZE)), mac)
  } finally {
    key.fill(0)
  }
}
