import {
  encodeTargetInfo,
  parseReport,
  parseTargetInfo,
  TARGET_INFO_SIZE,
  type Tee,
  targetInfoOf,
} from '#lib/attest'
import { equalBytes, equalSecret } from '#lib/bytes'
import { type EvidenceForm, FORM_REPORT } from './form.ts'
import { refused } from './handover-error.ts'

/** What a handover with local reports needs of the platform. */
export type HandoverTee = Pick<Tee, 'targetInfo' | 'report' | 'verifyReport'>

const NOTHING = new Uint8Array(0)

/** Form 1. That a report can be checked at all proves that one machine made it. */
export function reportForm(tee: HandoverTee): EvidenceForm {
  return {
    code: FORM_REPORT,
    targetInfoSize: TARGET_INFO_SIZE,
    async self() {
      const targetInfo = await tee.targetInfo()
      return { targetInfo, body: parseReport(await tee.report(targetInfo, new Uint8Array(64))) }
    },
    checkTarget: (targetInfo, check) => check(parseTargetInfo(targetInfo)),
    make: (targetInfo, reportData) => tee.report(targetInfo, reportData),
    platformOf: async () => NOTHING,
    async check(_self, evidence, targetInfo, reportData) {
      if (!(await tee.verifyReport(evidence))) throw refused('the report was not made for us here')
      const report = parseReport(evidence)
      if (!equalSecret(report.reportData, reportData)) {
        throw refused('the report is about another conversation')
      }
      if (!equalBytes(encodeTargetInfo(targetInfoOf(report)), targetInfo)) {
        throw refused('TARGETINFO is not that of the reporting enclave')
      }
      return { body: report, platform: NOTHING }
    },
  }
}
