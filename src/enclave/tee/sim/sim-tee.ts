import type { Duplex } from 'node:stream'
import { encodeTargetInfo, parseReport, type Report, type Tee, targetInfoOf } from '#lib/attest'
import { concat } from '#lib/bytes'
import { connectDevice } from './device-client.ts'
import { checkLocalReport } from './local-report.ts'
import { deriveSealingKey } from './sealing-key.ts'

/**
 * The simulated platform as an enclave sees it, over the socket that the launcher gave it (fd 3).
 * It protects nothing from the node's operator: whoever holds the other end plays the processor.
 * Methods throw TeeDeviceError; RangeError or FormatError for arguments of another size.
 */
export function openSimTee(socket: Duplex): Tee {
  const device = connectDevice(socket)
  let identity: Promise<Report> | undefined

  // A report for nobody still names its maker: the MAC is not needed for one's own identity.
  function self(): Promise<Report> {
    identity ??= device
      .call('report', new Uint8Array(512 + 64))
      .then((report) => parseReport(report))
    return identity
  }

  async function report(targetInfo: Uint8Array, reportData: Uint8Array): Promise<Uint8Array> {
    return await device.call('report', concat(targetInfo, reportData))
  }

  return {
    platform: 'simulated',
    capabilities: { localReports: true },
    targetInfo: async () => encodeTargetInfo(targetInfoOf(await self())),
    report,
    verifyReport: (bytes) => checkLocalReport(device, bytes),
    async quote(reportData) {
      const quotingTarget = await device.call('quotingTarget', new Uint8Array(0))
      return await device.call('quote', await report(quotingTarget, reportData))
    },
    sealingKey: async (policy, label) =>
      await deriveSealingKey(device, await self(), policy, label),
    collateral: () => device.call('collateral', new Uint8Array(0)),
  }
}
