import type { Tee } from '#lib/attest'
import { type EvidenceForm, reportForm } from '#lib/handover'
import type { EnclaveManifest } from '#lib/manifest'
import type { EnclaveClock } from './enclave-clock.ts'

/** What the program for quotes offers. */
export type QuoteProgram = typeof import('./quote-evidence.ts')

/**
 * How this enclave proves itself in the handover: what its own manifest says, of which its measurement
 * is made, and nothing else (docs/formats/handover.md). `quoteProgram` is where the measured program for
 * quotes lies; it is loaded only where the manifest asks for it. Throws AttestError TRUST_ANCHOR_FORMAT.
 */
export async function evidenceForm(
  tee: Tee,
  { handover }: Pick<EnclaveManifest, 'handover'>,
  clock: Pick<EnclaveClock, 'now'>,
  quoteProgram: string,
): Promise<EvidenceForm> {
  if (handover === undefined) return reportForm(tee)
  const { quoteEvidence } = (await import(quoteProgram)) as QuoteProgram
  return quoteEvidence(tee, handover, clock)
}
