import { encodeChain } from '#lib/attest'
import { toBase64 } from '#lib/bytes'
import { integer, object, optional, parseJson, string } from '#lib/json'
import type { AuthorityKeys } from './authority-file.ts'
import type { PlatformCertificates } from './certificate-store.ts'
import type { DeviceFile } from './device-file.ts'
import type { RenewableRole } from './pki/certificates.ts'
import { qeIdentity } from './pki/qe-identity.ts'
import { signedDocument } from './pki/signed-document.ts'
import { tcbInfo, type Validity } from './pki/tcb-info.ts'
import { parseRehearsal, type Rehearsal } from './rehearsal.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Collateral counts from an hour ago, so that a verifier's clock may be a little behind. */
const BACKDATED = HOUR

const LIFETIME = 30 * DAY
const ROOT_CRL_LIFETIME = 365 * DAY

/** Renewed at half its life: a broker that wants fresher collateral than that must say so. */
const RENEWED_AFTER = 15 * DAY

/** Expired collateral ended this long ago. */
const EXPIRED_SINCE = 30 * DAY

/** Parts that expire by themselves in a rehearsal. */
const COLLATERAL_PARTS = ['crl', 'tcb-info', 'qe-identity'] as const
type CollateralPart = (typeof COLLATERAL_PARTS)[number]

/** Collateral as it travels beside the evidence: JSON text, PEM chains and base64 DER. */
export interface CollateralStrings {
  readonly tcbInfo: string
  readonly tcbInfoIssuerChain: string
  readonly qeIdentity: string
  readonly qeIdentityIssuerChain: string
  readonly pckCrl: string
  readonly rootCaCrl: string
}

/** One issue of collateral. Issues are numbered and only the newest counts. */
export interface Issue {
  /** Also the number of both CRLs: verifiers refuse one below the highest they have seen. */
  readonly number: number
  /** tcbEvaluationDataNumber; never falls either. */
  readonly evaluation: number
  /** When it was made; milliseconds since 1970. */
  readonly issuedAt: number
  /** End of the documents' validity; in the past for a rehearsed expiry. */
  readonly validUntil: number
  readonly rehearsal: Rehearsal
  /** Number of the certificates that it was made with. */
  readonly certificates: number
  readonly collateral: CollateralStrings
}

/** Name of an issue's file. */
export function issueName(number: number): string {
  return `issue-${String(number).padStart(10, '0')}.json`
}

/** The number in a file's name; undefined for other files. */
export function issueNumber(name: string): number | undefined {
  const match = /^issue-(\d{10})\.json$/.exec(name)
  return match === null ? undefined : Number(match[1])
}

/** True if collateral must be made anew: half its life is over, or the clock stands before it. */
export function needsRenewal(issue: Issue, now: number): boolean {
  if (issue.rehearsal.collateral !== 'current') return false
  return now >= issue.issuedAt + RENEWED_AFTER || now < issue.issuedAt - BACKDATED
}

/** Signs one issue of collateral. */
export async function makeIssue(options: {
  readonly device: DeviceFile
  readonly keys: AuthorityKeys
  readonly certificates: PlatformCertificates
  readonly now: number
  readonly number: number
  readonly evaluation: number
  readonly rehearsal: Rehearsal
}): Promise<Issue> {
  const { device, keys, now, number, evaluation, rehearsal } = options
  const { certificates, serials } = options.certificates
  const { issueCrl } = await import('./pki/issuer.ts')
  const validity = (part: CollateralPart): Validity => {
    const over = ['expired', `${part}-expired`].includes(rehearsal.collateral)
    const from = over ? now - EXPIRED_SINCE - LIFETIME : now - BACKDATED
    return { from, until: from + LIFETIME }
  }
  const lists = validity('crl')
  const tcb = { evaluation, tcbDate: device.createdAt }
  const signerChain = encodeChain(certificates.tcbSigner, certificates.root)
  const platform = tcbInfo({
    ...tcb,
    validity: validity('tcb-info'),
    facts: device.facts,
    state: rehearsal.tcb,
  })
  const identity = qeIdentity({
    ...tcb,
    validity: validity('qe-identity'),
    state: rehearsal.qe,
  })
  const revoked = (role: RenewableRole): readonly string[] =>
    rehearsal[role] === 'revoked' ? serials[role] : []
  const pckCrl = await issueCrl({
    issuer: { role: 'pckCa', key: keys.pckCa },
    number,
    validity: lists,
    revoked: revoked('pck'),
  })
  const rootCaCrl = await issueCrl({
    issuer: { role: 'root', key: keys.root },
    number,
    validity: { from: lists.from, until: lists.from + ROOT_CRL_LIFETIME },
    revoked: [...revoked('pckCa'), ...revoked('tcbSigner')],
  })
  return {
    number,
    evaluation,
    issuedAt: now,
    validUntil: Math.min(...COLLATERAL_PARTS.map((part) => validity(part).until)),
    rehearsal,
    certificates: options.certificates.number,
    collateral: {
      tcbInfo: signedDocument('tcbInfo', platform, keys.tcbSigner),
      tcbInfoIssuerChain: signerChain,
      qeIdentity: signedDocument('enclaveIdentity', identity, keys.tcbSigner),
      qeIdentityIssuerChain: signerChain,
      pckCrl: toBase64(pckCrl),
      rootCaCrl: toBase64(rootCaCrl),
    },
  }
}

/** Text of an issue's file. */
export function encodeIssueFile(issue: Issue): string {
  return `${JSON.stringify({ version: 1, ...issue })}\n`
}

/** Reads an issue's file. FormatError for anything that this version did not write. */
export function parseIssueFile(bytes: Uint8Array): Issue {
  const file = object(parseJson(bytes, { name: 'issue' }), 'issue')
  integer(file.version, 'version', 1, 1)
  const collateral = object(file.collateral, 'collateral')
  return {
    number: integer(file.number, 'number', 1),
    evaluation: integer(file.evaluation, 'evaluation', 1),
    issuedAt: integer(file.issuedAt, 'issuedAt'),
    validUntil: integer(file.validUntil, 'validUntil'),
    rehearsal: parseRehearsal(file.rehearsal),
    // Issues of versions that renewed none do not say.
    certificates: optional(file.certificates, (value) => integer(value, 'certificates')) ?? 0,
    collateral: {
      tcbInfo: string(collateral.tcbInfo, 'tcbInfo'),
      tcbInfoIssuerChain: string(collateral.tcbInfoIssuerChain, 'tcbInfoIssuerChain'),
      qeIdentity: string(collateral.qeIdentity, 'qeIdentity'),
      qeIdentityIssuerChain: string(collateral.qeIdentityIssuerChain, 'qeIdentityIssuerChain'),
      pckCrl: string(collateral.pckCrl, 'pckCrl'),
      rootCaCrl: string(collateral.rootCaCrl, 'rootCaCrl'),
    },
  }
}
