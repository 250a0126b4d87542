import { toHex } from '#lib/bytes'
import { QE_ISVPRODID, QE_ISVSVN, QE_MRSIGNER } from '../quoting-identity.ts'
import { documentTime } from './signed-document.ts'
import type { TcbSetting, Validity } from './tcb-info.ts'

/**
 * The value of a QE Identity document, version 2, for the simulated quoting enclave. `out-of-date` is
 * what a recovery looks like: a later version appears, and its own turns OutOfDate.
 */
export function qeIdentity(options: {
  readonly state: TcbSetting
  readonly evaluation: number
  readonly validity: Validity
  /** When the current QE version came out, milliseconds. */
  readonly tcbDate: number
}): unknown {
  const tcbDate = documentTime(options.tcbDate)
  const own = {
    'up-to-date': { tcbDate, tcbStatus: 'UpToDate' },
    'out-of-date': { tcbDate, tcbStatus: 'OutOfDate', advisoryIDs: ['SIM-SA-00003'] },
    revoked: { tcbDate, tcbStatus: 'Revoked', advisoryIDs: ['SIM-SA-00003'] },
  }[options.state]
  const later = { tcbDate: documentTime(options.validity.from), tcbStatus: 'UpToDate' }
  return {
    id: 'QE',
    version: 2,
    issueDate: documentTime(options.validity.from),
    nextUpdate: documentTime(options.validity.until),
    tcbEvaluationDataNumber: options.evaluation,
    miscselect: '00000000',
    miscselectMask: 'FFFFFFFF',
    // PROVISIONKEY and INIT set, DEBUG and all others clear; MODE64BIT and XFRM do not matter.
    attributes: '11000000000000000000000000000000',
    attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
    mrsigner: toHex(QE_MRSIGNER).toUpperCase(),
    isvprodid: QE_ISVPRODID,
    tcbLevels: [
      ...(options.state === 'up-to-date' ? [] : [{ tcb: { isvsvn: QE_ISVSVN + 1 }, ...later }]),
      { tcb: { isvsvn: QE_ISVSVN }, ...own },
      {
        tcb: { isvsvn: QE_ISVSVN - 2 },
        tcbDate: '2021-11-10T00:00:00Z',
        tcbStatus: 'OutOfDate',
        advisoryIDs: ['SIM-SA-00001'],
      },
    ],
  }
}
