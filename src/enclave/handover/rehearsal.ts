import { randomBytes } from 'node:crypto'
import {
  encodeReport,
  encodeTargetInfo,
  FLAGS,
  parseReport,
  REPORT_SIZE,
  type ReportBody,
  targetInfoOf,
} from '#lib/attest'
import { concat, toHex } from '#lib/bytes'
import {
  createInitiator,
  createResponder,
  type HandoverPayload,
  type HandoverTee,
  reportForm,
} from '#lib/handover'

const DIGEST_LENGTH = 32

/**
 * One handover between two enclaves that do not exist, so that the first real one of this process finds its
 * code compiled. Their platform lives for this call, knows the reports that it made and no others, and
 * speaks with nobody; nothing of it can reach a real handover. Throws HandoverError if there is a defect.
 */
export async function rehearseHandover(payload: HandoverPayload): Promise<void> {
  const initDataDigest = new Uint8Array(DIGEST_LENGTH)
  const made = new Set<string>()
  const [agent, init] = [newBody(initDataDigest), newBody(initDataDigest)]
  const responder = createResponder({
    form: reportForm(platformFor(agent, made)),
    peer: init,
    initDataDigest,
    now: () => performance.now(),
  })
  const names = { podId: 'rehearsal', containerId: 'rehearsal', manifestDigest: '' }
  const launchId = responder.offer({ ...names, payload })
  const peer = { ...agent, minIsvSvn: agent.isvSvn }
  const initiator = createInitiator({ form: reportForm(platformFor(init, made)), launchId, peer })
  try {
    let message = await initiator.begin()
    for (const side of [responder, initiator, responder, initiator, responder]) {
      message = await side.handle(message)
    }
  } finally {
    initiator.close()
    responder.close()
  }
}

function newBody(initDataDigest: Uint8Array): ReportBody {
  return {
    ...parseReport(new Uint8Array(REPORT_SIZE)),
    flags: FLAGS.INIT | FLAGS.MODE64BIT | FLAGS.KSS,
    mrEnclave: randomBytes(DIGEST_LENGTH),
    mrSigner: randomBytes(DIGEST_LENGTH),
    configId: concat(initDataDigest, new Uint8Array(DIGEST_LENGTH)),
  }
}

function platformFor(body: ReportBody, made: Set<string>): HandoverTee {
  return {
    targetInfo: async () => encodeTargetInfo(targetInfoOf(body)),
    report: async (_target, reportData) => {
      const keyId = randomBytes(32)
      const report = encodeReport({ ...body, reportData, keyId, mac: randomBytes(16) })
      made.add(toHex(report))
      return report
    },
    verifyReport: async (report) => made.has(toHex(report)),
  }
}
