import { equalBytes, FormatError, toHex } from '#lib/bytes'
import { hex, integer, object, parseJson, string } from '#lib/json'
import { AttestError } from '../attest-error.ts'
import { FLAGS } from './attributes.ts'
import { type LevelFacts, readIssue, readLevels, refuseDuplicates } from './collateral-fields.ts'
import type { ParsedFrame } from './quote.ts'

/** One level of a QE identity. */
export interface QeLevel extends LevelFacts {
  readonly isvSvn: number
}

/** QE identity, version 2. Levels are sorted, highest first. */
export interface QeIdentity {
  /** `QE` for the quoting enclave of SGX. */
  readonly id: string
  /** Milliseconds since 1970. */
  readonly issueDate: number
  readonly nextUpdate: number
  readonly tcbEvaluationDataNumber: number
  /** 4 bytes each, as they lie in the report. */
  readonly miscSelect: Uint8Array
  readonly miscSelectMask: Uint8Array
  /** 16 bytes each, as they lie in the report. */
  readonly attributes: Uint8Array
  readonly attributesMask: Uint8Array
  readonly mrSigner: Uint8Array
  readonly isvProdId: number
  readonly levels: readonly QeLevel[]
}

/** Parses the signed value of a QE identity. Members that are not known are tolerated. Throws FormatError. */
export function parseQeIdentity(bytes: Uint8Array): QeIdentity {
  const document = object(parseJson(bytes, { name: 'enclaveIdentity' }), 'enclaveIdentity')
  const version = integer(document.version, 'version')
  if (version !== 2) {
    throw new FormatError('FORMAT_INVALID', 'version', 0, `is ${version}, not 2`)
  }
  const levels = readLevels(document.tcbLevels, (tcb, name) => ({
    isvSvn: integer(tcb.isvsvn, `${name}.isvsvn`, 0, 65_535),
  }))
  refuseDuplicates(levels.map((level) => String(level.isvSvn)))
  return {
    id: string(document.id, 'id', { max: 16 }),
    ...readIssue(document),
    miscSelect: hex(document.miscselect, 'miscselect', 4),
    miscSelectMask: hex(document.miscselectMask, 'miscselectMask', 4),
    attributes: hex(document.attributes, 'attributes', 16),
    attributesMask: hex(document.attributesMask, 'attributesMask', 16),
    mrSigner: hex(document.mrsigner, 'mrsigner', 32),
    isvProdId: integer(document.isvprodid, 'isvprodid', 0, 65_535),
    levels: levels.sort((a, b) => b.isvSvn - a.isvSvn),
  }
}

/**
 * Checks that a QE report is of the enclave that the identity describes, and not a debug one
 * whatever the masks say. Returns the level it reaches. Throws AttestError QE_*.
 */
export function matchQe(
  { qeReport: report, qeReportBytes: body }: Pick<ParsedFrame, 'qeReport' | 'qeReportBytes'>,
  identity: QeIdentity,
): QeLevel {
  const miscSelect = masked(body.subarray(16, 20), identity.miscSelectMask)
  if (!equalBytes(miscSelect, identity.miscSelect)) {
    throw differs('QE_MISCSELECT', 'MISCSELECT', toHex(identity.miscSelect), toHex(miscSelect))
  }
  const attributes = masked(body.subarray(48, 64), identity.attributesMask)
  if (!equalBytes(attributes, identity.attributes)) {
    throw differs('QE_ATTRIBUTES', 'ATTRIBUTES', toHex(identity.attributes), toHex(attributes))
  }
  if ((report.flags & FLAGS.DEBUG) !== 0n) {
    throw differs('QE_ATTRIBUTES', 'DEBUG', 'clear', 'set')
  }
  if (!equalBytes(report.mrSigner, identity.mrSigner)) {
    throw differs('QE_MRSIGNER', 'MRSIGNER', toHex(identity.mrSigner), toHex(report.mrSigner))
  }
  if (report.isvProdId !== identity.isvProdId) {
    const expected = String(identity.isvProdId)
    throw differs('QE_ISVPRODID', 'ISVPRODID', expected, String(report.isvProdId))
  }
  const level = identity.levels.find((candidate) => candidate.isvSvn <= report.isvSvn)
  if (level === undefined) {
    const lowest = String(identity.levels.at(-1)?.isvSvn)
    throw differs('QE_ISVSVN_UNSUPPORTED', 'ISVSVN', `at least ${lowest}`, String(report.isvSvn))
  }
  return level
}

function masked(bytes: Uint8Array, mask: Uint8Array): Uint8Array {
  return bytes.map((byte, i) => byte & (mask[i] ?? 0))
}

function differs(
  code:
    | 'QE_MISCSELECT'
    | 'QE_ATTRIBUTES'
    | 'QE_MRSIGNER'
    | 'QE_ISVPRODID'
    | 'QE_ISVSVN_UNSUPPORTED',
  field: string,
  expected: string,
  actual: string,
): AttestError {
  return new AttestError(code, `comparing the quoting enclave: ${field} is ${actual}`, {
    field: `quoting enclave ${field}`,
    expected,
    actual,
  })
}
