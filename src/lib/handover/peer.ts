import {
  encodeTargetInfo,
  FLAGS,
  parseReport,
  parseTargetInfo,
  type Report,
  type Tee,
  targetInfoOf,
} from '#lib/attest'
import { equalBytes, equalSecret } from '#lib/bytes'
import { refused } from './handover-error.ts'

/** What a handover needs of the platform. */
export type HandoverTee = Pick<Tee, 'targetInfo' | 'report' | 'verifyReport'>

/** Who init accepts as its agent: pinned in init's manifest. */
export interface AgentPin {
  /** 32 bytes. */
  readonly mrSigner: Uint8Array
  readonly isvProdId: number
  readonly minIsvSvn: number
  /** Accept a peer whose memory the host may read; only where this enclave's own manifest says so. */
  readonly allowDebug?: boolean
}

/** Who the agent accepts as init: pinned in the agent's manifest. */
export interface InitPin {
  /** 32 bytes. */
  readonly mrEnclave: Uint8Array
  readonly allowDebug?: boolean
}

/** This enclave's own identity, as the platform reports it. */
export interface Self {
  readonly targetInfo: Uint8Array
  readonly report: Report
}

/** Asks the platform who we are. */
export async function readSelf(tee: HandoverTee): Promise<Self> {
  const targetInfo = await tee.targetInfo()
  return { targetInfo, report: parseReport(await tee.report(targetInfo, new Uint8Array(64))) }
}

/** Refuses an agent that the pin does not name. */
export function checkAgent(report: Report, pin: AgentPin): void {
  if (!equalBytes(report.mrSigner, pin.mrSigner)) throw refused('the agent has another signer')
  if (report.isvProdId !== pin.isvProdId) throw refused('the agent is another product')
  if (report.isvSvn < pin.minIsvSvn) throw refused('the agent is too old')
  checkFlags(report.flags, pin.allowDebug ?? false)
}

/** Refuses an init that the pin does not name. */
export function checkInit(report: Report, pin: InitPin): void {
  if (!equalBytes(report.mrEnclave, pin.mrEnclave)) throw refused('init has another measurement')
  checkFlags(report.flags, pin.allowDebug ?? false)
}

/** Refuses early, before we make a report for whoever asks: the same checks come again on the evidence. */
export function checkInitTarget(targetInfo: Uint8Array, pin: InitPin): void {
  const target = parseTargetInfo(targetInfo)
  if (!equalBytes(target.mrEnclave, pin.mrEnclave)) throw refused('TI_I names another enclave')
  checkFlags(target.flags, pin.allowDebug ?? false)
}

/**
 * The checks that both sides make of the other's evidence: made by this platform for us, over
 * this very conversation, by the enclave that TARGETINFO names, under our own init-data.
 */
export async function checkEvidence(
  tee: HandoverTee,
  self: Self,
  evidence: Uint8Array,
  targetInfo: Uint8Array,
  reportData: Uint8Array,
): Promise<Report> {
  if (!(await tee.verifyReport(evidence))) throw refused('the report was not made for us here')
  const report = parseReport(evidence)
  if (!equalSecret(report.reportData, reportData)) {
    throw refused('the report is about another conversation')
  }
  if (!equalBytes(encodeTargetInfo(targetInfoOf(report)), targetInfo)) {
    throw refused('TARGETINFO is not that of the reporting enclave')
  }
  if (!equalBytes(report.configId, self.report.configId)) {
    throw refused('the peer has other init-data')
  }
  return report
}

function checkFlags(flags: bigint, allowDebug: boolean): void {
  if ((flags & FLAGS.INIT) === 0n) throw refused('the peer is not initialised')
  // Without KSS, CONFIGID says nothing, and with it the binding to init-data goes.
  if ((flags & FLAGS.KSS) === 0n) throw refused('the peer has no KSS')
  if ((flags & FLAGS.DEBUG) !== 0n && !allowDebug) throw refused('the peer is a debug enclave')
}
