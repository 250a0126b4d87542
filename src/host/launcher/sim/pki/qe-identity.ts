import { toHex } from '#lib/bytes'
import { QE_ISVPRODID, QE_ISVSVN, QE_MRSIGNER } from '../quoting-identity.ts'
import { documentTime } from './signed-document.ts'
import type { Validity } from './tcb-info.ts'

/** The value of a QE Identity document, version 2, for the simulated quoting enclave. */
export function qeIdentity(options: {
  readonly evaluation: number
  readonly validity: Validity
  /** When the current QE version came out, milliseconds. */
  readonly tcbDate: number
}): unknown {
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
      {
        tcb: { isvsvn: QE_ISVSVN },
        tcbDate: documentTime(options.tcbDate),
        tcbStatus: 'UpToDate',
      },
      {
        tcb: { isvsvn: QE_ISVSVN - 2 },
        tcbDate: '2021-11-10T00:00:00Z',
        tcbStatus: 'OutOfDate',
        advisoryIDs: ['SIM-SA-00001'],
      },
    ],
  }
}
