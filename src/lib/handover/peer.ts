import { FLAGS, type ReportBody } from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import type { Evidence, EvidenceForm, Self } from './form.ts'
import { refused } from './handover-error.ts'

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

/** Refuses an agent that the pin does not name. */
export function checkAgent(report: ReportBody, pin: AgentPin): void {
  if (!equalBytes(report.mrSigner, pin.mrSigner)) throw refused('the agent has another signer')
  if (report.isvProdId !== pin.isvProdId) throw refused('the agent is another product')
  if (report.isvSvn < pin.minIsvSvn) throw refused('the agent is too old')
  checkFlags(report.flags, pin.allowDebug ?? false)
}

/** Refuses an init that the pin does not name. */
export function checkInit(report: ReportBody, pin: InitPin): void {
  if (!equalBytes(report.mrEnclave, pin.mrEnclave)) throw refused('init has another measurement')
  checkFlags(report.flags, pin.allowDebug ?? false)
}

/** Refuses early, before we make evidence for whoever asks: the same checks come again on the evidence. */
export function checkInitTarget(form: EvidenceForm, targetInfo: Uint8Array, pin: InitPin): void {
  form.checkTarget(targetInfo, (target) => {
    if (!equalBytes(target.mrEnclave, pin.mrEnclave)) throw refused('TI_I names another enclave')
    checkFlags(target.flags, pin.allowDebug ?? false)
  })
}

/**
 * The checks that both sides make of the other's evidence: made by this platform for us, over
 * this very conversation, by the enclave that TARGETINFO names, under our own init-data.
 */
export async function checkEvidence(
  form: EvidenceForm,
  self: Self,
  evidence: Uint8Array,
  targetInfo: Uint8Array,
  reportData: Uint8Array,
): Promise<Evidence> {
  const found = await form.check(self, evidence, targetInfo, reportData)
  if (!equalBytes(found.body.configId, self.body.configId)) {
    throw refused('the peer has other init-data')
  }
  return found
}

/** Refuses evidence that two machines made: each is genuine, but one conversation has one machine. */
export async function checkSamePlatform(
  form: EvidenceForm,
  self: Self,
  own: Uint8Array,
  reportData: Uint8Array,
  peer: Evidence,
): Promise<void> {
  const platform = await form.platformOf(self, own, reportData)
  if (!equalBytes(platform, peer.platform)) throw refused('the evidence is of two platforms')
}

function checkFlags(flags: bigint, allowDebug: boolean): void {
  if ((flags & FLAGS.INIT) === 0n) throw refused('the peer is not initialised')
  // Without KSS, CONFIGID says nothing, and with it the binding to init-data goes.
  if ((flags & FLAGS.KSS) === 0n) throw refused('the peer has no KSS')
  if ((flags & FLAGS.DEBUG) !== 0n && !allowDebug) throw refused('the peer is a debug enclave')
}
