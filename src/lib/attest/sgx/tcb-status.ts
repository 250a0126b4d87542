import { AttestError } from '../attest-error.ts'
import type { LevelFacts } from './collateral-fields.ts'
import type { PckExtension } from './pck-extension.ts'
import { showComponents, type TcbInfo, type TcbLevel } from './tcb-info.ts'

/** TCB statuses of SGX, best first. */
export const TCB_STATUSES = [
  'UpToDate',
  'SWHardeningNeeded',
  'ConfigurationNeeded',
  'ConfigurationAndSWHardeningNeeded',
  'OutOfDate',
  'OutOfDateConfigurationNeeded',
  'Revoked',
] as const

/** A value of `TCB_STATUSES`. */
export type TcbStatus = (typeof TCB_STATUSES)[number]

/** Statuses that a TD alone can have: its module was updated since it was launched. */
export const TD_RELAUNCH_STATUSES = [
  'TDRelaunchAdvised',
  'TDRelaunchAdvisedConfigurationNeeded',
] as const

/** Every status that a policy may name. */
export type AnyTcbStatus = TcbStatus | (typeof TD_RELAUNCH_STATUSES)[number]

/** Statuses of quoting enclaves for which a merge is defined. */
const QE_STATUSES: readonly TcbStatus[] = ['UpToDate', 'OutOfDate', 'Revoked']

/**
 * What an out-of-date quoting enclave makes of the platform's status. Not "the worse of the
 * two": a needed configuration stays needed.
 */
const WITH_OLD_QE: Readonly<Record<TcbStatus, TcbStatus>> = {
  UpToDate: 'OutOfDate',
  SWHardeningNeeded: 'OutOfDate',
  ConfigurationNeeded: 'OutOfDateConfigurationNeeded',
  ConfigurationAndSWHardeningNeeded: 'OutOfDateConfigurationNeeded',
  OutOfDate: 'OutOfDate',
  OutOfDateConfigurationNeeded: 'OutOfDateConfigurationNeeded',
  Revoked: 'Revoked',
}

/** The state of a platform and its quoting enclave. */
export interface TcbState {
  readonly status: TcbStatus
  readonly platformStatus: TcbStatus
  readonly qeStatus: TcbStatus
  /** The earlier of the two levels' dates, milliseconds since 1970. */
  readonly date: number
  /** The platform's, then the quoting enclave's, each once. */
  readonly advisoryIds: readonly string[]
}

/**
 * The highest level of which every component and the PCESVN are reached. Both come from the PCK
 * certificate: SVNs in the quote are raw values and not comparable. `more` is what a TD must
 * reach beside. Throws TCB_NOT_SUPPORTED.
 */
export function matchPlatform(
  pck: PckExtension,
  tcbInfo: TcbInfo,
  more: (level: TcbLevel) => boolean = () => true,
): TcbLevel {
  const level = tcbInfo.levels.find(
    (candidate) =>
      pck.pceSvn >= candidate.pceSvn &&
      reaches(pck.tcbComponents, candidate.components) &&
      more(candidate),
  )
  if (level !== undefined) return level
  const lowest = tcbInfo.levels.at(-1)
  throw new AttestError('TCB_NOT_SUPPORTED', 'matching the platform: it reaches no TCB level', {
    field: 'TCB components and PCESVN',
    expected: lowest
      ? `${showComponents(lowest.components)} ${lowest.pceSvn} or another level`
      : '',
    actual: `${showComponents(pck.tcbComponents)} ${pck.pceSvn}`,
  })
}

/** Whether each SVN of `needed` is reached, from index `from` on: never as one big number. */
export function reaches(
  own: Uint8Array | readonly number[],
  needed: readonly number[],
  from: number = 0,
): boolean {
  return needed.every((svn, i) => {
    const value = own[i]
    return i < from || (value !== undefined && value >= svn)
  })
}

/** Merges both levels. Throws TCB_STATUS_UNKNOWN for a status whose meaning is not known. */
export function mergeLevels(platform: LevelFacts, qe: LevelFacts): TcbState {
  const platformStatus = known(platform.tcbStatus, TCB_STATUSES, 'platform TCB status')
  const qeStatus = partStatus(qe, 'quoting enclave')
  return {
    status: mergeStatus(platformStatus, qeStatus),
    platformStatus,
    qeStatus,
    date: Math.min(platform.tcbDate, qe.tcbDate),
    advisoryIds: [...new Set([...platform.advisoryIds, ...qe.advisoryIds])],
  }
}

/**
 * The status of a platform with that of a part that has levels of its own: quoting enclave or
 * TDX module, which are up to date, out of date or revoked and nothing else.
 */
export function mergeStatus(platform: TcbStatus, part: TcbStatus): TcbStatus {
  if (part === 'UpToDate') return platform
  return part === 'Revoked' ? 'Revoked' : WITH_OLD_QE[platform]
}

/** Reads the status of such a part. Throws TCB_STATUS_UNKNOWN. */
export function partStatus(level: LevelFacts, name: string): TcbStatus {
  return known(level.tcbStatus, QE_STATUSES, `${name} TCB status`)
}

function known(status: string, statuses: readonly TcbStatus[], field: string): TcbStatus {
  const found = statuses.find((candidate) => candidate === status)
  if (found !== undefined) return found
  throw new AttestError('TCB_STATUS_UNKNOWN', `reading the ${field}: it is ${status}`, {
    field,
    expected: statuses.join(', '),
    actual: status,
  })
}
