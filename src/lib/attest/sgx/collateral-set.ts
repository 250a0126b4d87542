import { hash } from 'node:crypto'
import { FormatError, toHex } from '#lib/bytes'
import { AttestError } from '../attest-error.ts'
import {
  requireChainDates,
  verifyPckAuthority,
  verifyPckChain,
  verifySignerChain,
} from './chain.ts'
import { type Collateral, decodeCrl } from './collateral.ts'
import { requireCrlDates, requireNotRevoked, verifyCrl } from './revocation.ts'
import { requireDocumentDates, verifyQeIdentity, verifyTcbInfo } from './signed-collateral.ts'
import type { TrustAnchor } from './trust-anchor.ts'

/** Collateral as services give it and files keep it: for every platform of one family and authority. */
export interface CollateralSet extends Collateral {
  /** PEM, PCK authority and root: tells without a quote whose list `pckCrl` is. */
  readonly pckCrlIssuerChain: Uint8Array
}

/** File of each part in a directory of collateral; the form is that of docs/formats/quote.md. */
export const COLLATERAL_FILES: Readonly<Record<keyof CollateralSet, string>> = {
  tcbInfo: 'tcbInfo.json',
  tcbInfoIssuerChain: 'tcbInfoIssuerChain.pem',
  qeIdentity: 'qeIdentity.json',
  qeIdentityIssuerChain: 'qeIdentityIssuerChain.pem',
  pckCrl: 'pckCrl.der',
  rootCaCrl: 'rootCaCrl.der',
  pckCrlIssuerChain: 'pckCrlIssuerChain.pem',
  pckCertChain: 'pckCertChain.pem',
}

/** Whom a set is for and how new it is: all of it signed. */
export interface CollateralFacts {
  readonly tee: 'sgx' | 'tdx'
  /** Lower-case hex. */
  readonly fmspc: string
  readonly pceId: string
  readonly ca: 'platform' | 'processor'
  readonly platform: TrustAnchor['platform']
  /** SHA-256 of the root's SubjectPublicKeyInfo, lower-case hex. */
  readonly rootKey: string
  readonly tcbInfoNumber: number
  readonly qeIdentityNumber: number
  readonly pckCrlNumber: bigint
  readonly rootCrlNumber: bigint
  /** Latest issue and earliest end of documents and lists, milliseconds since 1970. */
  readonly issued: number
  readonly expires: number
}

/**
 * Makes a set of files. One that is missing stays empty, and the verifier then refuses with the
 * code of that part; CRLs may be DER, PEM or hexadecimal text.
 */
export function collateralFromFiles(files: ReadonlyMap<string, Uint8Array>): CollateralSet {
  const part = (name: keyof CollateralSet): Uint8Array =>
    files.get(COLLATERAL_FILES[name]) ?? new Uint8Array()
  const pckCertChain = files.get(COLLATERAL_FILES.pckCertChain)
  return {
    tcbInfo: part('tcbInfo'),
    tcbInfoIssuerChain: part('tcbInfoIssuerChain'),
    qeIdentity: part('qeIdentity'),
    qeIdentityIssuerChain: part('qeIdentityIssuerChain'),
    pckCrl: readCrl(part('pckCrl')),
    rootCaCrl: readCrl(part('rootCaCrl')),
    pckCrlIssuerChain: part('pckCrlIssuerChain'),
    ...(pckCertChain && { pckCertChain }),
  }
}

/**
 * Verifies a set by itself, before it is stored or passed on: chains, lists, documents and their
 * dates under `anchors`. A quote is verified with it anew; this keeps a false service from filling
 * a cache. Throws AttestError, as `verifyQuote` would find it.
 */
export function verifyCollateralSet(
  set: CollateralSet,
  anchors: readonly TrustAnchor[],
  now: number,
): CollateralFacts {
  if (Number.isNaN(now)) throw new RangeError('now is not a date')
  return examine(set, anchors, now)
}

/**
 * The same without dates: what a set says that may have expired. Its numbers still hold, for expiry
 * must not open the way back to older ones. Never a reason to use it.
 */
export function collateralFacts(
  set: CollateralSet,
  anchors: readonly TrustAnchor[],
): CollateralFacts {
  return examine(set, anchors, undefined)
}

function examine(
  set: CollateralSet,
  anchors: readonly TrustAnchor[],
  now: number | undefined,
): CollateralFacts {
  const authority = verifyPckAuthority(set.pckCrlIssuerChain, anchors)
  const { anchor } = authority
  const rootCrl = verifyCrl(set.rootCaCrl, anchor.certificate, anchor.key, 'root CRL')
  const pckCrl = verifyCrl(set.pckCrl, authority.leaf, authority.leafKey, 'PCK CRL')
  requireNotRevoked(rootCrl, authority.leaf, 'INTERMEDIATE_REVOKED')
  if (now !== undefined) {
    requireChainDates(authority, now)
    requireCrlDates(rootCrl, now, 'root CRL')
    requireCrlDates(pckCrl, now, 'PCK CRL')
  }
  const signer = (pem: Uint8Array): ReturnType<typeof verifySignerChain> => {
    const chain = verifySignerChain(pem, anchor)
    if (now !== undefined) requireChainDates(chain, now)
    requireNotRevoked(rootCrl, chain.leaf, 'TCB_SIGNER_REVOKED')
    return chain
  }
  const tcbInfo = verifyTcbInfo(set.tcbInfo, signer(set.tcbInfoIssuerChain))
  const identity = verifyQeIdentity(set.qeIdentity, signer(set.qeIdentityIssuerChain))
  if (now !== undefined) {
    requireDocumentDates(tcbInfo, now, 'TCB_INFO')
    requireDocumentDates(identity, now, 'QE_IDENTITY')
    // Revocation of the platform itself is the verdict on its quote, not on the set.
    if (set.pckCertChain) requireChainDates(verifyPckChain(set.pckCertChain, anchors), now)
  }
  const tee = requireOneTechnology(tcbInfo.id, identity.id)
  return {
    tee,
    fmspc: toHex(tcbInfo.fmspc),
    pceId: toHex(tcbInfo.pceId),
    ca: authority.ca,
    platform: anchor.platform,
    rootKey: hash('sha256', anchor.certificate.spki),
    tcbInfoNumber: tcbInfo.tcbEvaluationDataNumber,
    qeIdentityNumber: identity.tcbEvaluationDataNumber,
    pckCrlNumber: numberOf(pckCrl.number),
    rootCrlNumber: numberOf(rootCrl.number),
    issued: Math.max(tcbInfo.issueDate, identity.issueDate, rootCrl.thisUpdate, pckCrl.thisUpdate),
    expires: Math.min(
      tcbInfo.nextUpdate,
      identity.nextUpdate,
      // A list without an end is stale.
      rootCrl.nextUpdate ?? 0,
      pckCrl.nextUpdate ?? 0,
    ),
  }
}

/**
 * Refuses a set that is older than one already known under the same root: numbers that issuers
 * only ever raise. Those of documents are compared for one family and technology, that of the PCK
 * CRL for one authority, that of the root CRL always. Throws AttestError COLLATERAL_ROLLBACK.
 */
export function requireNotOlder(set: CollateralFacts, known: CollateralFacts): void {
  const pairs: [string, bigint | number, bigint | number][] = [
    ['root CRL number', set.rootCrlNumber, known.rootCrlNumber],
  ]
  if (set.ca === known.ca) {
    pairs.push(['PCK CRL number', set.pckCrlNumber, known.pckCrlNumber])
  }
  if (set.tee === known.tee && set.fmspc === known.fmspc) {
    pairs.push(
      ['TCB info evaluation number', set.tcbInfoNumber, known.tcbInfoNumber],
      ['QE identity evaluation number', set.qeIdentityNumber, known.qeIdentityNumber],
    )
  }
  for (const [field, found, lowest] of pairs) {
    if (found >= lowest) continue
    throw new AttestError('COLLATERAL_ROLLBACK', `comparing collateral: ${field} is ${found}`, {
      field,
      expected: `at least ${lowest}`,
      actual: String(found),
    })
  }
}

function requireOneTechnology(tcbInfo: string, identity: string): 'sgx' | 'tdx' {
  if (tcbInfo === 'SGX' && identity === 'QE') return 'sgx'
  if (tcbInfo === 'TDX' && identity === 'TD_QE') return 'tdx'
  throw new AttestError('QE_IDENTITY_ID', `comparing collateral: ${identity} beside ${tcbInfo}`, {
    field: 'QE identity id',
    expected: tcbInfo === 'TDX' ? 'TD_QE' : 'QE',
    actual: identity,
  })
}

function numberOf(hex: string): bigint {
  return BigInt(`0x${hex === '' ? '0' : hex}`)
}

function readCrl(bytes: Uint8Array): Uint8Array {
  try {
    return decodeCrl(bytes)
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    return bytes
  }
}
