import { closeSync, constants, openSync, readSync } from 'node:fs'
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
 * guess. Throws CodedError USAGE and INPUT_UNREADABLE, AttestError TRUST_ANCHOR_FORMAT.
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

/** No more of it than a root can have, and no wait for the writer of a pipe. */
function readRoot(file: string): Uint8Array {
  const bytes = new Uint8Array(MAX_ROOT + 1)
  let length = 0
  try {
    const fd = openSync(file, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      for (let got = -1; got !== 0; length += got) {
        got = readSync(fd, bytes, length, bytes.length - length, null)
      }
    } finally {
      closeSync(fd)
    }
  } catch (cause) {
    const reason = (cause as NodeJS.ErrnoException).code ?? 'it failed'
    const message = `reading --trust-anchor ${file}: ${reason}`
    throw new CodedError('INPUT_UNREADABLE', message, { cause })
  }
  if (length <= MAX_ROOT) return bytes.subarray(0, length)
  throw usage(`--trust-anchor ${file} is no root certificate`)
}

function usage(found: string): CodedError<'USAGE'> {
  return new CodedError('USAGE', `building a bundle: ${found}`)
}
