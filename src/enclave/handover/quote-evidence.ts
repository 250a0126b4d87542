import { parseCollateral, parseTrustAnchor, type Tee } from '#lib/attest'
import { fromBase64 } from '#lib/bytes'
import { type EvidenceForm, quoteForm } from '#lib/handover'
import type { QuoteHandover } from '#lib/manifest'
import type { EnclaveClock } from './enclave-clock.ts'

/**
 * Evidence by quotes, as a manifest demands it. A program of its own, so that enclaves which prove
 * themselves with local reports do not carry a verifier of quotes. Collateral comes from the device,
 * that is from the host, and is verified with every quote. Throws AttestError TRUST_ANCHOR_FORMAT.
 */
export function quoteEvidence(
  tee: Tee,
  handover: QuoteHandover,
  clock: Pick<EnclaveClock, 'now'>,
): EvidenceForm {
  return quoteForm({
    tee,
    anchor: parseTrustAnchor(fromBase64(handover.root, 'manifest.handover.root')),
    minTcbEvaluationDataNumber: handover.minTcbEvaluationDataNumber,
    // A platform that has none to give cannot be used in this form.
    collateral: async () => parseCollateral(await tee.collateral?.()),
    now: () => clock.now(),
  })
}
