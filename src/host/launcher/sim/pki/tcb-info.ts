import { toHex } from '#lib/bytes'
import { FMSPC, PCE_ID, type PlatformFacts } from '../platform-facts.ts'
import { documentTime } from './signed-document.ts'

/** When a document was made and until when it counts, in milliseconds since 1970. */
export interface Validity {
  readonly from: number
  readonly until: number
}

/** What a rehearsal makes of the platform's own TCB level. */
export type TcbSetting = 'up-to-date' | 'out-of-date' | 'revoked'

/** Advisories of levels that are not up to date; not Intel's numbers. */
const OLD_ADVISORIES = ['SIM-SA-00001']
const RECOVERY_ADVISORIES = ['SIM-SA-00002']

const OLD_DATE = '2021-11-10T00:00:00Z'

/**
 * The value of a TCB Info document, version 3. `out-of-date` is what a TCB recovery looks like: a
 * level above the platform appears, and its own turns OutOfDate.
 */
export function tcbInfo(options: {
  readonly facts: PlatformFacts
  readonly state: TcbSetting
  readonly evaluation: number
  readonly validity: Validity
  /** When the platform's level became current, milliseconds. */
  readonly tcbDate: number
}): unknown {
  const { facts, state, validity } = options
  const own = [...facts.components]
  const tcbDate = documentTime(options.tcbDate)
  const ownLevel = {
    'up-to-date': { tcbDate, tcbStatus: 'UpToDate' },
    'out-of-date': { tcbDate, tcbStatus: 'OutOfDate', advisoryIDs: RECOVERY_ADVISORIES },
    revoked: { tcbDate, tcbStatus: 'Revoked', advisoryIDs: RECOVERY_ADVISORIES },
  }[state]
  const recovery = { tcbDate: documentTime(validity.from), tcbStatus: 'UpToDate' }
  const old = { tcbDate: OLD_DATE, tcbStatus: 'OutOfDate', advisoryIDs: OLD_ADVISORIES }
  return {
    id: 'SGX',
    version: 3,
    issueDate: documentTime(validity.from),
    nextUpdate: documentTime(validity.until),
    fmspc: toHex(FMSPC).toUpperCase(),
    pceId: toHex(PCE_ID).toUpperCase(),
    tcbType: 0,
    tcbEvaluationDataNumber: options.evaluation,
    tcbLevels: [
      ...(state === 'up-to-date' ? [] : [level(own.with(0, (own[0] ?? 0) + 1), facts, recovery)]),
      level(own, facts, ownLevel),
      level(own.with(0, (own[0] ?? 0) - 1), facts, old),
    ],
  }
}

function level(components: readonly number[], facts: PlatformFacts, rest: object): unknown {
  return {
    tcb: { sgxtcbcomponents: components.map((svn) => ({ svn })), pcesvn: facts.pceSvn },
    ...rest,
  }
}
