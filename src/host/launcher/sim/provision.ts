import { createHash, type KeyObject, randomBytes, sign } from 'node:crypto'
import { encodeReportBody } from '#lib/attest'
import { concat } from '#lib/bytes'
import { AUTHORITY_FILE, type AuthorityKeys, encodeAuthorityFile } from './authority-file.ts'
import { originalCertificates } from './certificate-store.ts'
import { DEVICE_FILE, type DeviceFile, encodeDeviceFile } from './device-file.ts'
import { encodeIssueFile, issueName, makeIssue } from './issue.ts'
import { issueCertificates } from './pki/certificates.ts'
import { encodePrivateKey, newPrivateKey, publicPoint } from './pki/key-pairs.ts'
import { newPlatformFacts, type PlatformFacts } from './platform-facts.ts'
import type { Files } from './private-directory.ts'
import { quotingEnclaveIdentity } from './quoting-identity.ts'
import { NORMAL } from './rehearsal.ts'

/** QE auth data as every quoting enclave of Intel writes it: the bytes 0 to 31. */
const QE_AUTH_DATA = Uint8Array.from({ length: 32 }, (_, i) => i)

/** Makes a new platform: random secrets and keys, its certificates and its first collateral. */
export async function provisionPlatform(now: number): Promise<Files> {
  const facts = newPlatformFacts()
  const keys: AuthorityKeys = {
    root: newPrivateKey(),
    pckCa: newPrivateKey(),
    tcbSigner: newPrivateKey(),
    pck: newPrivateKey(),
  }
  const attestationKey = newPrivateKey()
  const attestationPoint = publicPoint(attestationKey)
  const qeReport = makeQeReport(facts, attestationPoint)
  const device: DeviceFile = {
    createdAt: now,
    facts,
    secrets: {
      reportRoot: new Uint8Array(randomBytes(16)),
      sealRoot: new Uint8Array(randomBytes(16)),
      ownerEpoch: new Uint8Array(randomBytes(16)),
    },
    attestationKey: encodePrivateKey(attestationKey),
    attestationPoint,
    qeReport,
    qeReportSignature: signRaw(keys.pck, qeReport),
    qeAuthData: QE_AUTH_DATA,
    certificates: await issueCertificates(facts, keys, now),
  }
  const issue = await makeIssue({
    device,
    keys,
    now,
    certificates: originalCertificates(device),
    number: 1,
    evaluation: FIRST_EVALUATION,
    rehearsal: NORMAL,
  })
  return {
    [DEVICE_FILE]: encodeDeviceFile(device),
    [AUTHORITY_FILE]: encodeAuthorityFile(keys),
    [issueName(1)]: encodeIssueFile(issue),
  }
}

/** First tcbEvaluationDataNumber; each rehearsed TCB change adds one and none takes one away. */
const FIRST_EVALUATION = 17

/** The QE report that certifies the attestation key; it never changes, so it is signed once. */
function makeQeReport(facts: PlatformFacts, attestationPoint: Uint8Array): Uint8Array {
  const binding = createHash('sha256').update(attestationPoint).update(QE_AUTH_DATA).digest()
  return encodeReportBody({
    ...quotingEnclaveIdentity(),
    cpuSvn: facts.components,
    reportData: concat(binding, new Uint8Array(32)),
  })
}

function signRaw(key: KeyObject, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(sign('sha256', bytes, { key, dsaEncoding: 'ieee-p1363' }))
}
