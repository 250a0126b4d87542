import { type ParsedFrame, parseFrame, type QuoteKind } from '../sgx/quote.ts'
import { parseTdReport, TD_REPORT_10_SIZE, TD_REPORT_15_SIZE, type TdReport } from './td-report.ts'

/** TEE type of TDX. */
export const TEE_TDX = 0x81

const BODY_TD_15 = 3

const TDX_QUOTE: QuoteKind = {
  teeType: TEE_TDX,
  name: '0x81 (TDX) in version 4 or 5',
  versions: [4, 5],
  bodies: [
    { type: 2, size: TD_REPORT_10_SIZE },
    { type: BODY_TD_15, size: TD_REPORT_15_SIZE },
  ],
}

/** A parsed quote over a trust domain, versions 4 and 5. */
export interface ParsedTdQuote extends ParsedFrame {
  readonly report: TdReport
}

/**
 * Parses a TDX quote. Nothing is verified. Throws AttestError QUOTE_FORMAT, QUOTE_VERSION,
 * QUOTE_TEE_TYPE (also for body types beyond TD 1.0 and 1.5) or QUOTE_ATT_KEY_TYPE.
 */
export function parseTdQuote(bytes: Uint8Array): ParsedTdQuote {
  const { frame, body, bodyType } = parseFrame(bytes, TDX_QUOTE)
  return { ...frame, report: parseTdReport(body, bodyType === BODY_TD_15 ? '1.5' : '1.0') }
}
