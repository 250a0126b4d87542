import { toHex } from '#lib/bytes'
import { hex, integer, type JsonObject, object, optional, string } from '#lib/json'
import { KbsError } from './kbs-error.ts'

/**
 * An enclave that the owner built: one build by `mrEnclave`, or every build of one signer's product
 * from a version on. The init enclave has none: it never speaks to a broker, since the agent's
 * manifest pins it and the agent hands over to it.
 */
export interface Reference {
  readonly name: string
  readonly program: 'agent'
  /** Lower-case hex. Without it, `mrSigner`, `isvProdId` and `minIsvSvn` decide. */
  readonly mrEnclave?: string
  readonly mrSigner?: string
  readonly isvProdId?: number
  readonly minIsvSvn?: number
}

/** The identity in a quote that reference values are compared with. */
export interface Measurement {
  readonly mrEnclave: string
  readonly mrSigner: string
  readonly isvProdId: number
  readonly isvSvn: number
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/

/** Parses a reference value. Throws KbsError REFERENCE_INVALID. */
export function parseReference(value: unknown): Reference {
  let reference: Reference
  try {
    const o = object(value, 'reference', [
      'name',
      'program',
      'mrEnclave',
      'mrSigner',
      'isvProdId',
      'minIsvSvn',
    ])
    const digest = (name: string): string | undefined =>
      optional(o[name], (v) => toHex(hex(v, name, 32)))
    const u16 = (name: string): number | undefined =>
      optional(o[name], (v) => integer(v, name, 0, 0xffff))
    string(o.program ?? 'agent', 'program', { pattern: /^agent$/ })
    const members = {
      mrEnclave: digest('mrEnclave'),
      mrSigner: digest('mrSigner'),
      isvProdId: u16('isvProdId'),
      minIsvSvn: u16('minIsvSvn'),
    }
    const name = string(o.name, 'name', { pattern: NAME })
    const given = Object.entries(members).filter(([, member]) => member !== undefined)
    reference = { name, program: 'agent', ...Object.fromEntries(given) }
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : ''
    throw new KbsError('REFERENCE_INVALID', `reading a reference value: ${why}`, { cause })
  }
  const { mrEnclave, mrSigner, isvProdId, minIsvSvn } = reference
  // A signer alone would let in every product of that signer, init among them.
  const bySigner = mrSigner !== undefined && isvProdId !== undefined && minIsvSvn !== undefined
  if (mrEnclave === undefined && !bySigner) {
    const needed = 'needs mrEnclave, or mrSigner with isvProdId and minIsvSvn'
    throw new KbsError('REFERENCE_INVALID', `reading a reference value: it ${needed}`)
  }
  return reference
}

/** The reference value as JSON for the store. */
export function referenceDocument(reference: Reference): JsonObject {
  return { ...reference } as unknown as JsonObject
}

/** Names of the members in which a measurement differs from a reference value; none = a match. */
export function differences(reference: Reference, found: Measurement): string[] {
  const { mrEnclave, mrSigner, isvProdId, minIsvSvn } = reference
  return [
    ...(mrEnclave !== undefined && mrEnclave !== found.mrEnclave ? ['mrEnclave'] : []),
    ...(mrSigner !== undefined && mrSigner !== found.mrSigner ? ['mrSigner'] : []),
    ...(isvProdId !== undefined && isvProdId !== found.isvProdId ? ['isvProdId'] : []),
    ...(minIsvSvn !== undefined && found.isvSvn < minIsvSvn ? ['isvSvn'] : []),
  ]
}

/** The first reference value that a measurement matches. */
export function matchReference(
  references: readonly Reference[],
  found: Measurement,
): Reference | undefined {
  return references.find((reference) => differences(reference, found).length === 0)
}

/** The reference value with the fewest differences, for the explanation of a refusal. */
export function closestReference(
  references: readonly Reference[],
  found: Measurement,
): { name: string; differs: string[] } | undefined {
  return references
    .map((reference) => ({ name: reference.name, differs: differences(reference, found) }))
    .sort((a, b) => a.differs.length - b.differs.length)[0]
}
