import type { CheckLog } from './check-log.ts'
import {
  type EvidenceInput,
  type GenuineFindings,
  type GenuineQuote,
  requireNotRevokedTcb,
  verifyGenuine,
} from './genuine.ts'
import { type ParsedQuote, parseQuote } from './quote.ts'
import { matchPlatform, mergeLevels, type TcbState } from './tcb-status.ts'

/** A genuine quote and all that its verification established. Says nothing of policy. */
export interface VerifiedEvidence extends GenuineQuote {
  readonly quote: ParsedQuote
  readonly tcb: TcbState
}

/** What is known while a verification goes on: all of it unproven until it ends well. */
export interface Findings extends GenuineFindings {
  quote?: ParsedQuote
  tcb?: TcbState
}

/**
 * The checks of docs/formats/quote.md up to the TCB level. Throws AttestError at the first check that fails;
 * `findings` then holds what was read so far.
 */
export function verifyEvidence(
  input: EvidenceInput,
  log: CheckLog,
  findings: Findings,
): VerifiedEvidence {
  const quote = log.run(
    'quote-format',
    () => parseQuote(input.quote),
    ({ version }) => `version ${version}`,
  )
  findings.quote = quote
  const technology = { tcbInfoId: 'SGX', qeIdentityId: 'QE' } as const
  const { genuine, tcbInfo, qeLevel } = verifyGenuine(quote, technology, input, log, findings)
  const tcb = log.run(
    'tcb-level',
    () => {
      const state = mergeLevels(matchPlatform(genuine.pck, tcbInfo), qeLevel)
      findings.tcb = state
      requireNotRevokedTcb(state)
      return state
    },
    ({ status }) => status,
  )
  return { ...genuine, quote, tcb }
}
