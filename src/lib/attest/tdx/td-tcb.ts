import { equalBytes, toHex } from '#lib/bytes'
import { AttestError } from '../attest-error.ts'
import type { LevelFacts } from '../sgx/collateral-fields.ts'
import type { UnmatchedQuote } from '../sgx/genuine.ts'
import type { TcbInfo, TdxModule, TdxTcbInfo } from '../sgx/tcb-info.ts'
import {
  type AnyTcbStatus,
  matchPlatform,
  mergeLevels,
  mergeStatus,
  partStatus,
  reaches,
  type TcbStatus,
} from '../sgx/tcb-status.ts'
import type { TdReport } from './td-report.ts'

/** The state of a platform, its quoting enclave and its TDX module. */
export interface TdTcbState {
  readonly status: AnyTcbStatus
  readonly platformStatus: TcbStatus
  readonly qeStatus: TcbStatus
  /** Present where the module has levels of its own: major versions above 0. */
  readonly moduleStatus?: TcbStatus
  /** The earliest date of the levels, milliseconds since 1970. */
  readonly date: number
  /** The platform's, then the quoting enclave's, then the module's, each once. */
  readonly advisoryIds: readonly string[]
}

/** The state before TDX can advise a new launch. */
interface LevelState extends TdTcbState {
  readonly status: TcbStatus
}

const NO_ATTRIBUTES = /* @__PURE__ */ new Uint8Array(8)

/** Statuses of a platform that runs what is current, whatever its configuration. */
const CURRENT: readonly TcbStatus[] = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
]

const NEEDS_CONFIGURATION: readonly TcbStatus[] = [
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDateConfigurationNeeded',
]

/**
 * Matches a trust domain with TCB info and quoting enclave. Throws AttestError
 * TDX_MODULE_MISMATCH, TCB_NOT_SUPPORTED, TCB_STATUS_UNKNOWN.
 */
export function matchTd(report: TdReport, unmatched: UnmatchedQuote): TdTcbState {
  const tdx = tdxPart(unmatched.tcbInfo)
  requireModule(report, report.teeTcbSvn, tdx)
  const launch = stateOf(report.teeTcbSvn, unmatched, tdx)
  // A module that was updated under a running domain: what counts is what it was launched with.
  const { teeTcbSvn2 } = report
  if (teeTcbSvn2 === undefined || !launch.status.startsWith('OutOfDate')) return launch
  const current = stateOf(teeTcbSvn2, unmatched, tdx)
  if (!CURRENT.includes(current.status)) return launch
  const configuration = [launch.status, current.status].some((status) =>
    NEEDS_CONFIGURATION.includes(status),
  )
  const status = configuration ? 'TDRelaunchAdvisedConfigurationNeeded' : 'TDRelaunchAdvised'
  return { ...launch, status }
}

function tdxPart({ tdx, id }: TcbInfo): TdxTcbInfo {
  if (tdx !== undefined) return tdx
  throw new AttestError('TCB_INFO_MISMATCH', `matching the domain: the TCB info is of ${id}`, {
    field: 'TCB info id',
    expected: 'TDX',
    actual: id,
  })
}

function stateOf(svns: Uint8Array, unmatched: UnmatchedQuote, tdx: TdxTcbInfo): LevelState {
  const { genuine, tcbInfo, qeLevel } = unmatched
  // With a major version, bytes 0 and 1 are the module's and have levels of their own.
  const from = (svns[1] ?? 0) > 0 ? 2 : 0
  const platform = matchPlatform(
    genuine.pck,
    tcbInfo,
    ({ tdxComponents }) => tdxComponents !== undefined && reaches(svns, tdxComponents, from),
  )
  const state = mergeLevels(platform, qeLevel)
  if (from === 0) return state
  const module = moduleLevel(svns, tdx)
  const moduleStatus = partStatus(module, 'TDX module')
  return {
    ...state,
    status: mergeStatus(state.status, moduleStatus),
    moduleStatus,
    date: Math.min(state.date, module.tcbDate),
    advisoryIds: [...new Set([...state.advisoryIds, ...module.advisoryIds])],
  }
}

function identityOf(svns: Uint8Array, tdx: TdxTcbInfo): TdxTcbInfo['moduleIdentities'][number] {
  const id = `TDX_${toHex(svns.subarray(1, 2)).toUpperCase()}`
  const identity = tdx.moduleIdentities.find((candidate) => candidate.id.toUpperCase() === id)
  if (identity !== undefined) return identity
  const known = tdx.moduleIdentities.map((candidate) => candidate.id)
  throw mismatch('identity', known.join(', ') || 'none', id)
}

function moduleLevel(svns: Uint8Array, tdx: TdxTcbInfo): LevelFacts {
  const { id, levels } = identityOf(svns, tdx)
  const [svn = 0] = svns
  const level = levels.find((candidate) => candidate.isvSvn <= svn)
  if (level !== undefined) return level
  throw new AttestError('TCB_NOT_SUPPORTED', `matching ${id}: it reaches no level`, {
    field: 'TDX module version',
    expected: `at least ${levels.at(-1)?.isvSvn}`,
    actual: String(svn),
  })
}

/** The module's author and attributes; SEAMATTRIBUTES must be zero whatever the masks say. */
function requireModule(report: TdReport, svns: Uint8Array, tdx: TdxTcbInfo): void {
  const module: TdxModule = (svns[1] ?? 0) > 0 ? identityOf(svns, tdx) : tdx.module
  const { mrSignerSeam, seamAttributes } = report
  if (!equalBytes(mrSignerSeam, module.mrSigner)) {
    throw mismatch('MRSIGNERSEAM', toHex(module.mrSigner), toHex(mrSignerSeam))
  }
  const masked = seamAttributes.map((byte, i) => byte & (module.attributesMask[i] ?? 0))
  if (!equalBytes(masked, module.attributes)) {
    throw mismatch('SEAMATTRIBUTES', toHex(module.attributes), toHex(masked))
  }
  if (!equalBytes(seamAttributes, NO_ATTRIBUTES)) {
    throw mismatch('SEAMATTRIBUTES', toHex(NO_ATTRIBUTES), toHex(seamAttributes))
  }
}

function mismatch(field: string, expected: string, actual: string): AttestError {
  return new AttestError('TDX_MODULE_MISMATCH', `comparing the TDX module: ${field} is ${actual}`, {
    field: `TDX module ${field}`,
    expected,
    actual,
  })
}
