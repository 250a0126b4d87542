import { readFileSync } from 'node:fs'
import { parseTrustAnchor } from '#lib/attest'
import { toBase64 } from '#lib/bytes'
import type { CommandInput } from '#lib/command'
import { CodedError } from '#lib/errors'
import type { QuoteHandover } from '#lib/manifest'

/** A root certificate has about one kilobyte. */
const MAX_ROOT = 16_384

/**
 * Reads `--handover`, `--trust-anchor` and `--min-tcb-evaluation` of `bundle build`; undefined stands for
 * local reports. With quotes both of the others must be said: a constant of an enclave is nothing to
 * guess. Throws CodedError USAGE, AttestError TRUST_ANCHOR_FORMAT.
 */
export function readHandover(input: Pick<CommandInput, 'text'>): QuoteHandover | undefined {
  const form = input.text('handover') ?? 'report'
  const file = input.text('trust-anchor')
  const number = input.text('min-tcb-evaluation')
  if (form === 'report') {
    if (file === undefined && number === undefined) return undefined
    throw usage('--trust-anchor and --min-tcb-evaluation need --handover quote')
  }
  if (form !== 'quote') throw usage(`--handover ${form} is neither report nor quote`)
  if (file === undefined) throw usage('--handover quote needs --trust-anchor FILE')
  if (number === undefined || !/^\d{1,9}$/.test(number)) {
    throw usage('--handover quote needs --min-tcb-evaluation NUMBER')
  }
  return {
    form,
    root: toBase64(parseTrustAnchor(readRoot(file)).certificate.raw),
    minTcbEvaluationDataNumber: Number(number),
  }
}

function readRoot(file: string): Uint8Array {
  try {
    const bytes = readFileSync(file)
    if (bytes.length <= MAX_ROOT) return new Uint8Array(bytes)
  } catch (cause) {
    throw new CodedError('USAGE', `reading --trust-anchor ${file} failed`, { cause })
  }
  throw usage(`--trust-anchor ${file} is no root certificate`)
}

function usage(found: string): CodedError<'USAGE'> {
  return new CodedError('USAGE', `building a bundle: ${found}`)
}
