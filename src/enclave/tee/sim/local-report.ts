import { reportKeyRequest, reportMacHolds } from '#lib/attest'
import type { DeviceClient } from './device-client.ts'

/**
 * Checks a REPORT (432 bytes) with this enclave's own REPORT key: true if this processor made it,
 * unaltered, for this enclave. FormatError if it has another size.
 */
export async function checkLocalReport(device: DeviceClient, report: Uint8Array): Promise<boolean> {
  return reportMacHolds(report, await device.call('key', reportKeyRequest(report)))
}
