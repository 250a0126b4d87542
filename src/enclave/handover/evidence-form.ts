import { parseCollateral, parseTrustAnchor, type Tee } from '#lib/attest'
import { fromBase64 } from '#lib/bytes'
import { type EvidenceForm, quoteForm, reportForm } from '#lib/handover'
import type { EnclaveManifest } from '#lib/manifest'
import type { EnclaveClock } from './enclave-clock.ts'

/**
 * How this enclave proves itself in the handover: what its own manifest says, of which its measurement
 * is made, and nothing else (docs/formats/handover.md). Collateral comes from the device, that is from
 * the host, and is verified with every quote. Throws AttestError TRUST_ANCHOR_FORMAT.
 */
export function evidenceForm(
  tee: Tee,
  { handover }: Pick<EnclaveManifest, 'handover'>,
  clock: Pick<EnclaveClock, 'now'>,
): EvidenceForm {
  if (handover === undefined) return reportForm(tee)
  return quoteForm({
    tee,
    anchor: parseTrustAnchor(fromBase64(handover.root, 'manifest.handover.root')),
    minTcbEvaluationDataNumber: handover.minTcbEvaluationDataNumber,
    // A platform that has none to give cannot be used in this form.
    collateral: async () => parseCollateral(await tee.collateral?.()),
    now: () => clock.now(),
  })
}
