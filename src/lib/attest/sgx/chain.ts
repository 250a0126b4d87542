import type { KeyObject } from 'node:crypto'
import { equalBytes, FormatError, toHex } from '#lib/bytes'
import type { AttestCode } from '#lib/errors'
import {
  type Certificate,
  ECDSA_WITH_SHA256,
  EXTENSION,
  importP256,
  p256Point,
  parseCertificate,
  refuseUnknownCritical,
  splitPem,
  verifyDerSignature,
} from '#lib/x509'
import { AttestError, badSignature, malformed } from '../attest-error.ts'
import { Memo } from './memo.ts'
import { parsePckExtension } from './pck-extension.ts'
import type { TrustAnchor } from './trust-anchor.ts'

const PCK_SUBJECT = 'Intel SGX PCK Certificate'
const PLATFORM_CA = 'Intel SGX PCK Platform CA'
const PROCESSOR_CA = 'Intel SGX PCK Processor CA'
const TCB_SIGNER_SUBJECT = 'Intel SGX TCB Signing'

/** More blocks than this are a wrong file, not a chain that is a little too long. */
const MAX_PEM_BLOCKS = 8

/** A chain whose names, signatures and authority flags are good. Dates are not checked yet. */
export interface VerifiedChain {
  readonly anchor: TrustAnchor
  /** All certificates below the root, leaf first. */
  readonly certificates: readonly Certificate[]
  readonly leaf: Certificate
  readonly leafKey: KeyObject
}

/** A verified chain from a PCK certificate through one of the two PCK authorities. */
export interface PckChain extends VerifiedChain {
  readonly issuer: Certificate
  readonly issuerKey: KeyObject
  readonly ca: 'platform' | 'processor'
}

const pckChains = /* @__PURE__ */ new Memo<PckChain>(32)
const signerChains = /* @__PURE__ */ new Memo<VerifiedChain>(32)

/** Verifies a PCK chain, three PEM certificates in any order (docs/formats/quote.md, Checks). */
export function verifyPckChain(pem: Uint8Array, anchors: readonly TrustAnchor[]): PckChain {
  const inputs = [pem, ...anchors.map((anchor) => anchor.certificate.raw)]
  return pckChains.get(inputs, () => {
    const certificates = parseChain(pem, 'PCK_CHAIN_FORMAT', 'PCK chain')
    if (certificates.length !== 3) {
      throw new AttestError('PCK_CHAIN_LENGTH', 'verifying the PCK chain: wrong length', {
        field: 'PCK chain',
        expected: '3 certificates',
        actual: `${certificates.length} certificates`,
      })
    }
    const { root, below } = order(certificates)
    const [leaf, issuer] = below
    if (leaf === undefined || issuer === undefined) throw new TypeError('a chain of three has both')
    const anchor = findAnchor(root, anchors)
    requireSubject(leaf, [PCK_SUBJECT], 'PCK_SUBJECT')
    requireSubject(issuer, [PLATFORM_CA, PROCESSOR_CA], 'PCK_SUBJECT')
    requireRoot(root, anchor)
    const issuerKey = keyOf(issuer)
    requireIssued(issuer, anchor.certificate, anchor.key)
    requireIssued(leaf, issuer, issuerKey)
    requireAuthority(issuer, 0)
    requireEndEntity(leaf)
    return {
      anchor,
      certificates: [leaf, issuer],
      leaf,
      leafKey: keyOf(leaf),
      issuer,
      issuerKey,
      ca: issuer.subject.commonName === PLATFORM_CA ? 'platform' : 'processor',
    }
  })
}

/** Verifies the issuer chain of TCB info or QE identity: the signer directly under `anchor`. */
export function verifySignerChain(pem: Uint8Array, anchor: TrustAnchor): VerifiedChain {
  return signerChains.get([pem, anchor.certificate.raw], () => {
    const certificates = parseChain(pem, 'TCB_SIGNER_FORMAT', 'TCB signer chain')
    if (certificates.length !== 2) {
      throw new AttestError('TCB_SIGNER_FORMAT', 'verifying the TCB signer chain: wrong length', {
        field: 'TCB signer chain',
        expected: '2 certificates',
        actual: `${certificates.length} certificates`,
      })
    }
    const { root, below } = order(certificates)
    const [leaf] = below
    if (leaf === undefined) throw new TypeError('a chain of two has a leaf')
    findAnchor(root, [anchor])
    requireSubject(leaf, [TCB_SIGNER_SUBJECT], 'TCB_SIGNER_SUBJECT')
    requireRoot(root, anchor)
    requireIssued(leaf, anchor.certificate, anchor.key)
    requireEndEntity(leaf)
    return { anchor, certificates: [leaf], leaf, leafKey: keyOf(leaf) }
  })
}

/** A verified PCK authority directly under an anchor. */
export interface PckAuthority extends VerifiedChain {
  readonly ca: 'platform' | 'processor'
}

/** Verifies the issuer chain of a PCK CRL: one of the two PCK authorities and the root. */
export function verifyPckAuthority(pem: Uint8Array, anchors: readonly TrustAnchor[]): PckAuthority {
  const certificates = parseChain(pem, 'PCK_CHAIN_FORMAT', 'PCK CRL issuer chain')
  if (certificates.length !== 2) {
    throw new AttestError('PCK_CHAIN_LENGTH', 'verifying the PCK CRL issuer chain: wrong length', {
      field: 'PCK CRL issuer chain',
      expected: '2 certificates',
      actual: `${certificates.length} certificates`,
    })
  }
  const { root, below } = order(certificates)
  const [issuer] = below
  if (issuer === undefined) throw new TypeError('a chain of two has an issuer')
  const anchor = findAnchor(root, anchors)
  requireSubject(issuer, [PLATFORM_CA, PROCESSOR_CA], 'PCK_SUBJECT')
  requireRoot(root, anchor)
  requireIssued(issuer, anchor.certificate, anchor.key)
  requireAuthority(issuer, 0)
  const ca = issuer.subject.commonName === PLATFORM_CA ? 'platform' : 'processor'
  return { anchor, certificates: [issuer], leaf: issuer, leafKey: keyOf(issuer), ca }
}

/** Which authority issued the PCK certificate of a chain, as the chain itself claims. */
export function claimedAuthority(pem: Uint8Array): PckClaim {
  const certificates = parseChain(pem, 'PCK_CHAIN_FORMAT', 'PCK chain')
  const leaf = certificates.find(({ subject }) => subject.commonName === PCK_SUBJECT)
  const issuer = leaf?.issuer.commonName
  if (leaf === undefined || (issuer !== PLATFORM_CA && issuer !== PROCESSOR_CA)) {
    throw new AttestError('PCK_SUBJECT', 'reading the PCK chain: it has no PCK certificate', {
      field: 'subject common name',
      expected: `${PCK_SUBJECT} of ${PLATFORM_CA} or ${PROCESSOR_CA}`,
      actual: issuer ?? 'none',
    })
  }
  const { fmspc, pceId } = parsePckExtension(leaf)
  const rootKey = certificates.find((certificate) => isIssuer(certificate, certificate))?.spki
  const ca = issuer === PLATFORM_CA ? 'platform' : 'processor'
  return { fmspc, pceId, ca, ...(rootKey && { rootKey }) }
}

/** What a PCK chain says of its platform; unproven. */
export interface PckClaim {
  readonly fmspc: Uint8Array
  readonly pceId: Uint8Array
  readonly ca: 'platform' | 'processor'
  /** SubjectPublicKeyInfo of the root, DER; absent where the chain has none. */
  readonly rootKey?: Uint8Array
}

/** Checks notBefore <= now <= notAfter of the chain and of our own copy of the root. */
export function requireChainDates(chain: VerifiedChain, now: number): void {
  for (const { subject, notBefore, notAfter } of [
    ...chain.certificates,
    chain.anchor.certificate,
  ]) {
    const field = `${subject.commonName} validity`
    if (now < notBefore)
      throw outdated('CERT_NOT_YET_VALID', field, `after ${date(notBefore)}`, now)
    if (now > notAfter) throw outdated('CERT_EXPIRED', field, `until ${date(notAfter)}`, now)
  }
}

function outdated(code: AttestCode, field: string, expected: string, now: number): AttestError {
  return new AttestError(code, `checking ${field}: it is ${date(now)} now`, {
    field,
    expected,
    actual: date(now),
  })
}

function date(time: number): string {
  return new Date(time).toISOString()
}

function parseChain(pem: Uint8Array, code: AttestCode, field: string): Certificate[] {
  // Quoting enclaves end the text with a NUL, as C strings do.
  const text = pem.at(-1) === 0 ? pem.subarray(0, -1) : pem
  try {
    return splitPem(text, 'CERTIFICATE', MAX_PEM_BLOCKS).map((der) => {
      const certificate = parseCertificate(der)
      requireProfile(certificate)
      return certificate
    })
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    throw malformed(code, `parsing the ${field}`, cause, {
      field,
      expected: 'PEM certificates of the SGX profile',
    })
  }
}

/** What every certificate of the hierarchy has (docs/formats/quote.md, Checks); throws FormatError. */
function requireProfile(certificate: Certificate): void {
  const name = certificate.subject.commonName ?? 'certificate'
  const invalid = (field: string, found: string): FormatError =>
    new FormatError('FORMAT_INVALID', field, 0, `of ${name} ${found}`)
  if (certificate.signatureAlgorithm !== ECDSA_WITH_SHA256) {
    throw invalid('signature algorithm', `is ${certificate.signatureAlgorithm}`)
  }
  p256Point(certificate.spki)
  refuseUnknownCritical(
    certificate.extensions,
    [EXTENSION.KEY_USAGE, EXTENSION.BASIC_CONSTRAINTS],
    name,
  )
  if (certificate.basicConstraints === undefined) throw invalid('basic constraints', 'are missing')
  if (certificate.keyUsage === undefined) throw invalid('key usage', 'is missing')
  if (!certificate.subjectKeyId?.length) throw invalid('subject key id', 'is missing')
  if (!certificate.authorityKeyId?.length) throw invalid('authority key id', 'is missing')
}

/** Orders a chain by its names, for genuine quotes do not keep one order. Leaf first. */
function order(certificates: readonly Certificate[]): {
  readonly root: Certificate
  readonly below: readonly Certificate[]
} {
  const roots = certificates.filter((certificate) => isIssuer(certificate, certificate))
  const [root] = roots
  if (root === undefined || roots.length !== 1) {
    throw broken('the chain has no single self-issued root', '1', String(roots.length))
  }
  const below: Certificate[] = []
  const left = new Set(certificates)
  for (let issuer = root; left.delete(issuer) && left.size > 0; ) {
    const next = [...left].find((certificate) => isIssuer(certificate, issuer))
    if (next === undefined) {
      const expected = issuer.subject.commonName ?? 'another name'
      const actual = [...left][0]?.issuer.commonName ?? 'another name'
      throw broken('no certificate names the one above it as its issuer', expected, actual)
    }
    below.unshift(next)
    issuer = next
  }
  return { root, below }
}

function isIssuer(certificate: Certificate, issuer: Certificate): boolean {
  return equalBytes(certificate.issuer.raw, issuer.subject.raw)
}

function broken(found: string, expected: string, actual: string): AttestError {
  return new AttestError('CHAIN_NAME', `ordering a certificate chain: ${found}`, {
    field: 'issuer',
    expected,
    actual,
  })
}

function findAnchor(root: Certificate, anchors: readonly TrustAnchor[]): TrustAnchor {
  const anchor = anchors.find((candidate) => equalBytes(candidate.certificate.spki, root.spki))
  if (anchor !== undefined) return anchor
  throw new AttestError('ROOT_UNTRUSTED', 'verifying a chain: its root key is not trusted', {
    field: 'root public key',
    expected: anchors.map((candidate) => hexPoint(candidate.certificate)).join(' or ') || 'none',
    actual: hexPoint(root),
  })
}

/**
 * The root inside a chain adds nothing to the anchor, and re-issued copies with the same key
 * exist; it must still be a genuine certificate of that key and name.
 */
function requireRoot(root: Certificate, anchor: TrustAnchor): void {
  requireAuthority(anchor.certificate, 1)
  if (equalBytes(root.raw, anchor.certificate.raw)) return
  requireIssued(root, anchor.certificate, anchor.key)
  if (!equalBytes(root.subject.raw, anchor.certificate.subject.raw)) {
    throw broken(
      'the root has another name than the anchor',
      'the subject of the anchor',
      'another',
    )
  }
  requireAuthority(root, 1)
}

function requireSubject(
  certificate: Certificate,
  names: readonly string[],
  code: 'PCK_SUBJECT' | 'TCB_SIGNER_SUBJECT',
): void {
  const { commonName } = certificate.subject
  if (commonName !== undefined && names.includes(commonName)) return
  throw new AttestError(code, 'verifying a chain: a certificate has the wrong common name', {
    field: 'subject common name',
    expected: names.join(' or '),
    actual: commonName ?? 'none',
  })
}

function requireIssued(certificate: Certificate, issuer: Certificate, key: KeyObject): void {
  const name = certificate.subject.commonName ?? 'certificate'
  if (!isIssuer(certificate, issuer)) {
    const expected = issuer.subject.commonName ?? 'another name'
    throw broken(`${name} names another issuer`, expected, certificate.issuer.commonName ?? 'none')
  }
  const { authorityKeyId } = certificate
  const { subjectKeyId } = issuer
  if (!authorityKeyId || !subjectKeyId || !equalBytes(authorityKeyId, subjectKeyId)) {
    const expected = subjectKeyId === undefined ? 'a key id' : toHex(subjectKeyId)
    const actual = authorityKeyId === undefined ? 'none' : toHex(authorityKeyId)
    throw broken(`${name} names another issuer key`, expected, actual)
  }
  if (!verifyDerSignature(key, certificate.tbs, certificate.signature)) {
    throw badSignature('CHAIN_SIGNATURE', `verifying ${name}: its signature is not good`, {
      field: `${name} signature`,
      signer: issuer.subject.commonName ?? 'its issuer',
    })
  }
}

/** An authority needs the flag, a path length of at least what stands below it, and both uses. */
function requireAuthority(certificate: Certificate, minPathLength: number): void {
  const { basicConstraints, keyUsage, subject } = certificate
  const ok =
    basicConstraints?.ca === true &&
    basicConstraints.pathLength !== undefined &&
    basicConstraints.pathLength >= minPathLength &&
    keyUsage?.keyCertSign === true &&
    keyUsage.crlSign
  if (!ok) throw wrongRole(subject.commonName, 'an authority for certificates and CRLs')
}

function requireEndEntity(certificate: Certificate): void {
  const { basicConstraints, keyUsage, subject } = certificate
  const ok =
    basicConstraints?.ca === false &&
    keyUsage?.digitalSignature === true &&
    !keyUsage.keyCertSign &&
    !keyUsage.crlSign
  if (!ok) throw wrongRole(subject.commonName, 'a certificate for signatures alone')
}

function wrongRole(name: string | undefined, expected: string): AttestError {
  const field = name ?? 'certificate'
  return new AttestError('CHAIN_CA_FLAG', `verifying ${field}: it is not ${expected}`, {
    field: `${field} basic constraints and key usage`,
    expected,
    actual: 'other rights',
  })
}

function keyOf(certificate: Certificate): KeyObject {
  try {
    return importP256(p256Point(certificate.spki))
  } catch (cause) {
    if (!(cause instanceof FormatError)) throw cause
    const field = `${certificate.subject.commonName} public key`
    throw malformed('CHAIN_SIGNATURE', `importing ${field}`, cause, {
      field,
      expected: 'a point on P-256',
    })
  }
}

function hexPoint(certificate: Certificate): string {
  return toHex(p256Point(certificate.spki))
}
