import { AttestError } from '../attest-error.ts'
import type { PckExtension } from './pck-extension.ts'
import type { QeLevel } from './qe-identity.ts'
import { showComponents, type TcbInfo, type TcbLevel } from './tcb-info.ts'

/** TCB statuses of SGX, best first (sheet section 4.4). */
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
 * certificate: SVNs in the quote are raw values and not comparable. Throws TCB_NOT_SUPPORTED.
 */
export function matchPlatform(pck: PckExtension, tcbInfo: TcbInfo): TcbLevel {
  const level = tcbInfo.levels.find(
    ({ components, pceSvn }) =>
      pck.pceSvn >= pceSvn &&
      components.every((svn, i) => {
        const own = pck.tcbComponents[i]
        return own !== undefined && own >= svn
      }),
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

/** Merges both levels. Throws TCB_STATUS_UNKNOWN for a status whose meaning is not known. */
export function mergeLevels(platform: TcbLevel, qe: QeLevel): TcbState {
  const platformStatus = known(platform.tcbStatus, TCB_STATUSES, 'platform TCB status')
  const qeStatus = known(qe.tcbStatus, QE_STATUSES, 'quoting enclave TCB status')
  return {
    status: merge(platformStatus, qeStatus),
    platformStatus,
    qeStatus,
    date: Math.min(platform.tcbDate, qe.tcbDate),
    advisoryIds: [...new Set([...platform.advisoryIds, ...qe.advisoryIds])],
  }
}

function merge(platform: TcbStatus, qe: TcbStatus): TcbStatus {
  if (qe === 'UpToDate') return platform
  return qe === 'Revoked' ? 'Revoked' : WITH_OLD_QE[platform]
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
