import { compareBytes, FormatError, toHex } from '#lib/bytes'
import { array, hex, integer, object, optional, parseJson, string } from '#lib/json'
import { type LevelFacts, readIssue, readLevels, refuseDuplicates } from './collateral-fields.ts'

const COMPONENTS = 16
const MAX_MODULE_IDENTITIES = 64

/** One level of a TCB info: what a platform needs at least, and what is then known of it. */
export interface TcbLevel extends LevelFacts {
  /** 16 component SVNs. */
  readonly components: readonly number[]
  readonly pceSvn: number
  /** 16 SVNs of TDX; present in TCB info of TDX alone. */
  readonly tdxComponents?: readonly number[]
}

/** What a TDX module must be: author and attributes. */
export interface TdxModule {
  /** 48 bytes. */
  readonly mrSigner: Uint8Array
  /** 8 bytes each, as they lie in the report. */
  readonly attributes: Uint8Array
  readonly attributesMask: Uint8Array
}

/** One major version of the TDX module, with levels of its own. */
export interface TdxModuleIdentity extends TdxModule {
  /** `TDX_` and the major version as two hexadecimal digits. */
  readonly id: string
  /** Sorted, highest first. */
  readonly levels: readonly (LevelFacts & { readonly isvSvn: number })[]
}

/** The part of TCB info of TDX that SGX does not have. */
export interface TdxTcbInfo {
  readonly module: TdxModule
  readonly moduleIdentities: readonly TdxModuleIdentity[]
}

/** TCB info, version 3 or 2. Levels are sorted, highest first. */
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
  /** Present where `id` is `TDX`. */
  readonly tdx?: TdxTcbInfo
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
    ...(id === 'TDX' && { tdxComponents: readComponents(tcb, name, 'tdxtcbcomponents') }),
  }))
  refuseDuplicates(levels.map((level) => [...allSvns(level), level.pceSvn].join(' ')))
  return {
    id,
    version,
    ...readIssue(document),
    fmspc: hex(document.fmspc, 'fmspc', 6),
    pceId: hex(document.pceId, 'pceId', 2),
    // Served sorted, but nothing signed says so: the highest match must win in any order.
    levels: levels.sort(descending),
    ...(id === 'TDX' && {
      tdx: {
        module: readModule(document.tdxModule, 'tdxModule'),
        moduleIdentities: readModuleIdentities(document.tdxModuleIdentities),
      },
    }),
  }
}

function readModule(value: unknown, name: string): TdxModule {
  const module = object(value, name)
  return {
    mrSigner: hex(module.mrsigner, `${name}.mrsigner`, 48),
    attributes: hex(module.attributes, `${name}.attributes`, 8),
    attributesMask: hex(module.attributesMask, `${name}.attributesMask`, 8),
  }
}

/** Absent where all modules of a platform have the major version 0. */
function readModuleIdentities(value: unknown): TdxModuleIdentity[] {
  const list = optional(value, (present) =>
    array(present, 'tdxModuleIdentities', MAX_MODULE_IDENTITIES).map((item, i) => {
      const name = `tdxModuleIdentities[${i}]`
      const identity = object(item, name)
      const levels = readLevels(identity.tcbLevels, (tcb, field) => ({
        isvSvn: integer(tcb.isvsvn, `${name}.${field}.isvsvn`, 0, 65_535),
      }))
      refuseDuplicates(levels.map((level) => String(level.isvSvn)))
      return {
        id: string(identity.id, `${name}.id`, { max: 16 }),
        ...readModule(identity, name),
        levels: levels.sort((a, b) => b.isvSvn - a.isvSvn),
      }
    }),
  )
  const identities = list ?? []
  if (new Set(identities.map(({ id }) => id)).size !== identities.length) {
    throw new FormatError('FORMAT_INVALID', 'tdxModuleIdentities', 0, 'has an identity twice')
  }
  return identities
}

function refuseTdx(document: Readonly<Record<string, unknown>>): void {
  for (const member of ['tdxModule', 'tdxModuleIdentities']) {
    if (Object.hasOwn(document, member)) {
      throw new FormatError('FORMAT_INVALID', member, 0, 'has no place in TCB info of SGX')
    }
  }
}

function readComponents(
  tcb: Readonly<Record<string, unknown>>,
  name: string,
  member: 'sgxtcbcomponents' | 'tdxtcbcomponents' = 'sgxtcbcomponents',
): number[] {
  const field = `${name}.${member}`
  const components = array(tcb[member], field, COMPONENTS)
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

/** By components of SGX, then PCESVN, then components of TDX. */
function descending(a: TcbLevel, b: TcbLevel): number {
  return (
    compareSvns(b.components, a.components) ||
    b.pceSvn - a.pceSvn ||
    compareSvns(b.tdxComponents ?? [], a.tdxComponents ?? [])
  )
}

function compareSvns(a: readonly number[], b: readonly number[]): number {
  return compareBytes(new Uint8Array(a), new Uint8Array(b))
}

function allSvns({ components, tdxComponents = [] }: TcbLevel): readonly number[] {
  return [...components, ...tdxComponents]
}

/** Components as 32 hexadecimal digits, for messages. */
export function showComponents(components: readonly number[]): string {
  return toHex(new Uint8Array(components))
}
