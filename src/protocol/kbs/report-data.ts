import { createHash } from 'node:crypto'
import { canonicalize } from '#lib/json'
import type { TeeKey } from './tee-key.ts'

/** What evidence is bound to in this protocol. */
export interface ReportDataInput {
  readonly nonce: string
  readonly teeKey: TeeKey
  /** `''` if there are no further devices. Hashed as the string that is sent. */
  readonly additionalEvidence: string
}

/**
 * The 64 bytes of report data (KBS protocol 0.4.0): SHA-384 over the canonical JSON, then 16 zeros.
 */
export function rcarReportData(input: ReportDataInput): Uint8Array<ArrayBuffer> {
  const text = canonicalize({
    'additional-evidence': input.additionalEvidence,
    nonce: input.nonce,
    'tee-pubkey': { ...input.teeKey },
  })
  const out = new Uint8Array(64)
  out.set(createHash('sha384').update(text).digest())
  return out
}
