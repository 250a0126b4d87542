import { compareBytes, FormatError, toHex } from '#lib/bytes'
import { array, hex, integer, object, parseJson, string } from '#lib/json'
import { type LevelFacts, readIssue, readLevels, refuseDuplicates } from './collateral-fields.ts'

const COMPONENTS = 16

/** One level of a TCB info: what a platform needs at least, and what is then known of it. */
export interface TcbLevel extends LevelFacts {
  /** 16 component SVNs. */
  readonly components: readonly number[]
  readonly pceSvn: number
}

/** TCB info, version 3 or 2 (sheet section 4.1). Levels are sorted, highest first. */
export interface TcbInfo {
  /** `SGX`; other values describe other technologies. Version 2 has SGX alone. */
  readonly id: string
  readonly version: 2 | 3
  /** Milliseconds since 1970. */
  readonly issueDate: number
  readonly nextUpdate: number
  /** 6 bytes. */
  readonly fmspc: Uint8Array
  /** 2 bytes. */
  readonly pceId: Uint8Array
  readonly tcbEvaluationDataNumber: number
  readonly levels: readonly TcbLevel[]
}

/** Parses the signed value of a TCB info. Members that are not known are tolerated. Throws FormatError. */
export function parseTcbInfo(bytes: Uint8Array): TcbInfo {
  const document = object(parseJson(bytes, { name: 'tcbInfo' }), 'tcbInfo')
  const version = integer(document.version, 'version')
  if (version !== 2 && version !== 3) {
    throw new FormatError('FORMAT_INVALID', 'version', 0, `is ${version}, not 3 or 2`)
  }
  const id = version === 3 ? string(document.id, 'id', { max: 16 }) : 'SGX'
  integer(document.tcbType, 'tcbType', 0, 0)
  if (id === 'SGX') refuseTdx(document)
  const levels = readLevels(document.tcbLevels, (tcb, name) => ({
    components: version === 3 ? readComponents(tcb, name) : readNumbered(tcb, name),
    pceSvn: integer(tcb.pcesvn, `${name}.pcesvn`, 0, 65_535),
  }))
  refuseDuplicates(levels.map((level) => [...level.components, level.pceSvn].join(' ')))
  return {
    id,
    version,
    ...readIssue(document),
    fmspc: hex(document.fmspc, 'fmspc', 6),
    pceId: hex(document.pceId, 'pceId', 2),
    // Served sorted, but nothing signed says so: the highest match must win in any order.
    levels: levels.sort(descending),
  }
}

function refuseTdx(document: Readonly<Record<string, unknown>>): void {
  for (const member of ['tdxModule', 'tdxModuleIdentities']) {
    if (Object.hasOwn(document, member)) {
      throw new FormatError('FORMAT_INVALID', member, 0, 'has no place in TCB info of SGX')
    }
  }
}

function readComponents(tcb: Readonly<Record<string, unknown>>, name: string): number[] {
  const field = `${name}.sgxtcbcomponents`
  const components = array(tcb.sgxtcbcomponents, field, COMPONENTS)
  if (components.length !== COMPONENTS) {
    throw new FormatError('FORMAT_INVALID', field, 0, `has ${components.length} elements, not 16`)
  }
  return components.map((item, i) => {
    const component = `${field}[${i}]`
    return integer(object(item, component).svn, `${component}.svn`, 0, 255)
  })
}

function readNumbered(tcb: Readonly<Record<string, unknown>>, name: string): number[] {
  return Array.from({ length: COMPONENTS }, (_, i) => {
    const member = `sgxtcbcomp${String(i + 1).padStart(2, '0')}svn`
    return integer(tcb[member], `${name}.${member}`, 0, 255)
  })
}

function descending(a: TcbLevel, b: TcbLevel): number {
  const components = compareBytes(new Uint8Array(b.components), new Uint8Array(a.components))
  return components !== 0 ? components : b.pceSvn - a.pceSvn
}

/** Components as 32 hexadecimal digits, for messages. */
export function showComponents(components: readonly number[]): string {
  return toHex(new Uint8Array(components))
}
