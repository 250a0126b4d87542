import type { ReportBody } from '#lib/attest'

/** Form 1: local reports, on one machine. */
export const FORM_REPORT = 1
/** Form 2: quotes, for platforms whose enclaves cannot check each other's reports. */
export const FORM_QUOTE = 2

/** Largest evidence of any form: a quote with a chain of generous certificates. */
export const MAX_EVIDENCE = 16_384

/** Evidence that was judged genuine. */
export interface Evidence {
  /** What its enclave is. */
  readonly body: ReportBody
  /** What both sides must have in common; empty where the check of evidence itself proves it. */
  readonly platform: Uint8Array
}

/** This enclave's own identity, as the platform reports it. */
export interface Self {
  /** What the peer needs to make evidence for us; empty in form 2. */
  readonly targetInfo: Uint8Array
  readonly body: ReportBody
}

/**
 * How the two enclaves prove themselves. A program is written with one form, which is then part of
 * its measurement: nothing that arrives can change it.
 */
export interface EvidenceForm {
  /** The first byte of M1. */
  readonly code: typeof FORM_REPORT | typeof FORM_QUOTE
  /** Exact size of TI_I and TI_A. */
  readonly targetInfoSize: number
  self(): Promise<Self>
  /** Refuses a peer's TARGETINFO before any evidence is made for it. Throws HandoverError. */
  checkTarget(targetInfo: Uint8Array, check: (target: TargetIdentity) => void): void
  /** Evidence over `reportData` (64 bytes) for the enclave that `targetInfo` names. */
  make(targetInfo: Uint8Array, reportData: Uint8Array): Promise<Uint8Array>
  /**
   * What our own evidence says of the platform, after it was made. Throws HandoverError if it is
   * not ours.
   */
  platformOf(self: Self, own: Uint8Array, reportData: Uint8Array): Promise<Uint8Array>
  /**
   * Judges the peer's evidence: genuine, over this very report data, for us, by the enclave that
   * `targetInfo` names. Throws HandoverError.
   */
  check(
    self: Self,
    evidence: Uint8Array,
    targetInfo: Uint8Array,
    reportData: Uint8Array,
  ): Promise<Evidence>
}

/** What TARGETINFO says of the enclave that it stands for. */
export type TargetIdentity = Pick<ReportBody, 'mrEnclave' | 'flags'>
