import { createHash } from 'node:crypto'
import {
  AttestError,
  type Collateral,
  encodeReportBody,
  issueTime,
  parseReport,
  type ReportBody,
  type Tee,
  type TrustAnchor,
  verifyQuote,
} from '#lib/attest'
import { equalBytes } from '#lib/bytes'
import { type Evidence, type EvidenceForm, FORM_QUOTE, type Self } from './form.ts'
import { refused } from './handover-error.ts'

/** What a handover with quotes needs. Anchor and minimum are constants of the measured program. */
export interface QuoteFormOptions {
  readonly tee: Pick<Tee, 'quote' | 'targetInfo' | 'report'>
  /** The one root that both quotes must stand on. */
  readonly anchor: TrustAnchor
  /** Lowest TCB evaluation number of the collateral: the host brings it. */
  readonly minTcbEvaluationDataNumber: number
  /** Collateral for this platform, from wherever; it is verified with each quote. */
  readonly collateral: () => Promise<Collateral>
  /** Milliseconds since 1970: a lower bound of the time, from the enclave's own clock, not the host's. */
  readonly now: () => number
}

const NOTHING = /* @__PURE__ */ new Uint8Array(0)
const NO_REPORT_DATA = /* @__PURE__ */ new Uint8Array(64)

/**
 * Form 2: quotes in place of local reports, TI fields empty. Both sides verify both quotes in full,
 * under the default policy for the platform, and demand that one quoting enclave (QE_ID) and one PCK
 * key made them: two genuine machines are still two machines.
 */
export function quoteForm(options: QuoteFormOptions): EvidenceForm {
  let latest = Number.NEGATIVE_INFINITY
  const judge = async (quote: Uint8Array, reportData: Uint8Array): Promise<Evidence> => {
    const { minTcbEvaluationDataNumber } = options
    const anchors = [options.anchor]
    const collateral = await options.collateral()
    // Kept: whoever was shown a newer set is not to be asked again with an older one.
    latest = Math.max(latest, options.now(), signedTime(quote, collateral, anchors))
    const result = verifyQuote({
      quote,
      collateral,
      anchors,
      now: new Date(latest),
      // Whether a debug peer is accepted is for the pin to say, as in form 1.
      policy: { allowDebug: true, reportData, minTcbEvaluationDataNumber },
    })
    const { evidence } = result
    if (!result.accepted || evidence === undefined) {
      throw refused(`the quote is not accepted: ${result.code}`)
    }
    const { body, userData } = evidence.quote
    const platform = createHash('sha256').update(userData).update(evidence.pckKey).digest()
    return { body, platform: new Uint8Array(platform) }
  }
  return {
    code: FORM_QUOTE,
    targetInfoSize: 0,
    // From the processor: a quote comes through the host, which has quotes of other enclaves too.
    async self() {
      const { tee } = options
      const body = parseReport(await tee.report(await tee.targetInfo(), NO_REPORT_DATA))
      return { targetInfo: NOTHING, body }
    },
    // Without TARGETINFO there is nothing to look at before the evidence itself.
    checkTarget: () => {},
    make: (_targetInfo, reportData) => options.tee.quote(reportData),
    async platformOf(self, own, reportData) {
      const { body, platform } = await judge(own, reportData)
      if (sameEnclave(body, self.body)) return platform
      throw refused('the quote that was made for us is of another enclave')
    },
    async check(_self: Self, evidence, _targetInfo, reportData) {
      return await judge(evidence, reportData)
    },
  }
}

/**
 * Our clock starts at the date of the build and is behind until a broker has spoken, in init for ever:
 * what the root has signed since says how late it is at least.
 */
function signedTime(
  quote: Uint8Array,
  collateral: Collateral,
  anchors: readonly TrustAnchor[],
): number {
  try {
    return issueTime(quote, collateral, anchors)
  } catch (error) {
    if (!(error instanceof AttestError)) throw error
    throw refused(`the quote is not accepted: ${error.code}`, error)
  }
}

/**
 * Every byte of two bodies is the same but what the enclave chose to say. Nothing in them can change while an
 * enclave lives: a processor takes new microcode into CPUSVN only when none does.
 */
function sameEnclave(a: ReportBody, b: ReportBody): boolean {
  const identity = (body: ReportBody): Uint8Array =>
    encodeReportBody({ ...body, reportData: NO_REPORT_DATA })
  return equalBytes(identity(a), identity(b))
}
