// A throw-away SGX platform for tests of the verifier: every part can be edited before it is
// signed, so that each check can be failed on its own. Written with our DER writer, not with the
// library that the simulated platform uses, so that both issue what the verifier accepts.
import { createHash, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import {
  der,
  derBits,
  derBoolean,
  derEnumerated,
  derExplicit,
  derInteger,
  derOctets,
  derOid,
  derSequence,
  derSet,
  derTime,
  derUtf8,
  implicitTag,
} from '#lib/asn1'
import {
  type Collateral,
  encodeChain,
  encodeQuote,
  encodeReportBody,
  encodeSignedPart,
  INTEL_QE_VENDOR_ID,
  parseTrustAnchor,
  type ReportBody,
  type VerifyQuoteInput,
} from '#lib/attest'
import { concat, fromHex, utf8 } from '#lib/bytes'

const DAY = 86_400_000
const ECDSA_WITH_SHA256 = '1.2.840.10045.4.3.2'
/** The time at which unedited forgeries are good. */
export const FORGE_NOW: Date = new Date('2026-01-15T00:00:00Z')
const AT = FORGE_NOW.getTime()

type CertificateName = 'root' | 'ca' | 'pck' | 'tcb'
type Certificates = Record<CertificateName, Uint8Array>
type KeyName = 'root' | 'ca' | 'pck' | 'tcb' | 'attestation' | 'other'

interface Key {
  readonly privateKey: KeyObject
  readonly spki: Uint8Array
  readonly point: Uint8Array
}

const KEYS: Readonly<Record<KeyName, Key>> = {
  root: newKey(),
  ca: newKey(),
  pck: newKey(),
  tcb: newKey(),
  attestation: newKey(),
  other: newKey(),
}

/** One certificate before it is signed. */
export interface CertificateSpec {
  subject: string
  issuer: string
  key: KeyName
  signer: KeyName
  /** Whose key id the certificate names as its authority. */
  authority: KeyName
  serial: Uint8Array
  notBefore: number
  notAfter: number
  ca: boolean
  pathLength: number | undefined
  /** First octet of KeyUsage: 0x80 digitalSignature, 0x04 keyCertSign, 0x02 cRLSign. */
  keyUsage: number
  /** OID of the algorithm that is named; ECDSA with SHA-256 is used whatever it says. */
  algorithm: string
  /** Complete extensions after the usual ones. */
  extensions: Uint8Array[]
  /** OIDs of usual extensions to leave out. */
  without: string[]
}

/** One CRL before it is signed. */
export interface CrlSpec {
  issuer: string
  signer: KeyName
  authority: KeyName
  thisUpdate: number
  nextUpdate: number | undefined
  revoked: Uint8Array[]
  /** Complete extensions of each entry. */
  entryExtensions: Uint8Array[]
  /** As in `CertificateSpec`. */
  algorithm: string
  extensions: Uint8Array[]
  without: string[]
}

/** JSON that tests may edit freely. */
// biome-ignore lint/suspicious/noExplicitAny: tests write wrong values on purpose
export type Json = any

/** All parts, before signing. */
export interface ForgeParts {
  root: CertificateSpec
  ca: CertificateSpec
  pck: CertificateSpec
  tcb: CertificateSpec
  sgx: {
    components: number[]
    pceSvn: number
    fmspc: Uint8Array
    pceId: Uint8Array
    platform: boolean
    /** Changes the list of member pairs at last. */
    edit: (pairs: Uint8Array[]) => Uint8Array[]
  }
  rootCrl: CrlSpec
  pckCrl: CrlSpec
  tcbInfo: Json
  qeIdentity: Json
  tcbInfoSigner: KeyName
  qeIdentitySigner: KeyName
  qeReport: ReportBody
  body: ReportBody
  vendor: Uint8Array
  /** 20 bytes: QE_ID and zeros. */
  userData: Uint8Array
  authData: Uint8Array
  /** x‖y in the quote. */
  attestationKey: Uint8Array
  quoteSigner: KeyName
  qeReportSigner: KeyName
  certificationType: number
  /** Certificates of the PCK chain in the order written. */
  chain: CertificateName[]
  signerChain: CertificateName[]
  /** Moves the PCK chain from the quote to the collateral. */
  chainInCollateral: boolean
  /** Changes certificates after they were signed; the anchor stays the good root. */
  editCertificates: (certificates: Certificates) => void
  /** Changes finished artefacts, for what no signer would write. */
  finish: (input: Finished) => void
}

/** Input of `verifyQuote`, open to edits. */
export interface Finished {
  quote: Uint8Array
  collateral: { -readonly [K in keyof Collateral]: Collateral[K] }
  anchors: VerifyQuoteInput['anchors']
}

/** Forges a quote with collateral and anchor that the verifier accepts, except for the edits. */
export function forge(edit: (parts: ForgeParts) => void = () => {}): VerifyQuoteInput {
  const parts = defaults()
  edit(parts)
  const certificates = {
    root: certificate(parts.root),
    ca: certificate(parts.ca),
    pck: certificate(parts.pck, [sgxExtension(parts.sgx)]),
    tcb: certificate(parts.tcb),
  }
  const anchors = [parseTrustAnchor(certificates.root)]
  parts.editCertificates(certificates)
  const pem = (names: readonly CertificateName[]): Uint8Array =>
    utf8(encodeChain(...names.map((name) => certificates[name])))
  const qeReport = encodeReportBody(parts.qeReport)
  const head = { qeSvn: 8, pceSvn: 13, qeVendorId: parts.vendor, userData: parts.userData }
  const quote = encodeQuote({
    ...head,
    version: 3,
    attestationKeyType: 2,
    teeType: 0,
    body: parts.body,
    signature: signRaw(parts.quoteSigner, encodeSignedPart({ ...head, body: parts.body })),
    attestationKey: parts.attestationKey,
    qeReport: parts.qeReport,
    qeReportSignature: signRaw(parts.qeReportSigner, qeReport),
    qeAuthData: parts.authData,
    certificationType: parts.certificationType,
    certificationData: parts.chainInCollateral
      ? new Uint8Array(36)
      : concat(pem(parts.chain), new Uint8Array(1)),
  })
  const finished: Finished = {
    quote,
    collateral: {
      tcbInfo: signDocument('tcbInfo', parts.tcbInfo, parts.tcbInfoSigner),
      tcbInfoIssuerChain: pem(parts.signerChain),
      qeIdentity: signDocument('enclaveIdentity', parts.qeIdentity, parts.qeIdentitySigner),
      qeIdentityIssuerChain: pem(parts.signerChain),
      pckCrl: crl(parts.pckCrl),
      rootCaCrl: crl(parts.rootCrl),
      ...(parts.chainInCollateral && { pckCertChain: pem(parts.chain) }),
    },
    anchors,
  }
  parts.finish(finished)
  return { ...finished, now: FORGE_NOW }
}

/** REPORTDATA of a QE report: what binds the attestation key. */
export function bindingOf(attestationKey: Uint8Array, authData: Uint8Array): Uint8Array {
  const hash = createHash('sha256').update(attestationKey).update(authData).digest()
  return concat(hash, new Uint8Array(32))
}

/** A body `{"NAME":…,"signature":…}`, compact, signed over the exact bytes of the value. */
export function signDocument(name: string, value: Json, signer: KeyName): Uint8Array {
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const signature = Buffer.from(signRaw(signer, utf8(text))).toString('hex')
  return utf8(`{"${name}":${text},"signature":"${signature}"}`)
}

/** r‖s of one of the platform's keys. */
export function signRaw(signer: KeyName, message: Uint8Array): Uint8Array {
  const key = { key: KEYS[signer].privateKey, dsaEncoding: 'ieee-p1363' as const }
  return new Uint8Array(sign('sha256', message, key))
}

/** One extension with the DER of its value. */
export function extension(oid: string, value: Uint8Array, critical = false): Uint8Array {
  return derSequence(derOid(oid), ...(critical ? [derBoolean(true)] : []), derOctets(value))
}

/** x‖y of one of the platform's keys. */
export function pointOf(name: KeyName): Uint8Array {
  return KEYS[name].point
}

/** A zero report body with changes. */
export function reportBody(changes: Partial<ReportBody> = {}): ReportBody {
  return {
    cpuSvn: new Uint8Array(16),
    miscSelect: 0,
    isvExtProdId: new Uint8Array(16),
    flags: 0x05n,
    xfrm: 0x07n,
    mrEnclave: new Uint8Array(32).fill(0xee),
    mrSigner: new Uint8Array(32).fill(0x55),
    configId: new Uint8Array(64),
    isvProdId: 1,
    isvSvn: 1,
    configSvn: 0,
    isvFamilyId: new Uint8Array(16),
    reportData: new Uint8Array(64).fill(0xda),
    ...changes,
  }
}

function defaults(): ForgeParts {
  const authData = Uint8Array.from({ length: 32 }, (_, i) => i)
  const qeSigner = new Uint8Array(32).fill(0x9e)
  const issue = {
    issueDate: '2026-01-01T00:00:00Z',
    nextUpdate: '2026-01-31T00:00:00Z',
    tcbEvaluationDataNumber: 17,
  }
  const components = [3, 3, 2, 2, 255, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0]
  const level = (svns: number[], pcesvn: number, tcbStatus: string, tcbDate: string): Json => ({
    tcb: { sgxtcbcomponents: svns.map((svn) => ({ svn })), pcesvn },
    tcbDate,
    tcbStatus,
  })
  return {
    root: spec('Intel SGX Root CA', 'Intel SGX Root CA', 'root', 'root', 1),
    ca: spec('Intel SGX PCK Platform CA', 'Intel SGX Root CA', 'ca', 'root', 0),
    pck: spec('Intel SGX PCK Certificate', 'Intel SGX PCK Platform CA', 'pck', 'ca'),
    tcb: spec('Intel SGX TCB Signing', 'Intel SGX Root CA', 'tcb', 'root'),
    sgx: {
      components,
      pceSvn: 13,
      fmspc: fromHex('53494d000000', 'fmspc'),
      pceId: new Uint8Array(2),
      platform: true,
      edit: (pairs) => pairs,
    },
    rootCrl: crlSpec('Intel SGX Root CA', 'root'),
    pckCrl: crlSpec('Intel SGX PCK Platform CA', 'ca'),
    tcbInfo: {
      id: 'SGX',
      version: 3,
      ...issue,
      fmspc: '53494D000000',
      pceId: '0000',
      tcbType: 0,
      tcbLevels: [
        level(components, 13, 'UpToDate', '2025-11-12T00:00:00Z'),
        {
          ...level([2, ...components.slice(1)], 11, 'OutOfDate', '2024-03-13T00:00:00Z'),
          advisoryIDs: ['INTEL-SA-00001', 'INTEL-SA-00002'],
        },
      ],
    },
    qeIdentity: {
      id: 'QE',
      version: 2,
      ...issue,
      miscselect: '00000000',
      miscselectMask: 'FFFFFFFF',
      attributes: '11000000000000000000000000000000',
      attributesMask: 'FBFFFFFFFFFFFFFF0000000000000000',
      mrsigner: Buffer.from(qeSigner).toString('hex').toUpperCase(),
      isvprodid: 1,
      tcbLevels: [
        { tcb: { isvsvn: 8 }, tcbDate: '2025-11-12T00:00:00Z', tcbStatus: 'UpToDate' },
        {
          tcb: { isvsvn: 6 },
          tcbDate: '2023-02-15T00:00:00Z',
          tcbStatus: 'OutOfDate',
          advisoryIDs: ['INTEL-SA-00002', 'INTEL-SA-00003'],
        },
      ],
    },
    tcbInfoSigner: 'tcb',
    qeIdentitySigner: 'tcb',
    qeReport: reportBody({
      flags: 0x15n,
      mrSigner: qeSigner,
      isvSvn: 8,
      reportData: bindingOf(KEYS.attestation.point, authData),
    }),
    body: reportBody(),
    vendor: fromHex(INTEL_QE_VENDOR_ID, 'vendor'),
    userData: new Uint8Array(20),
    authData,
    attestationKey: KEYS.attestation.point,
    quoteSigner: 'attestation',
    qeReportSigner: 'pck',
    certificationType: 5,
    chain: ['pck', 'ca', 'root'],
    signerChain: ['tcb', 'root'],
    chainInCollateral: false,
    editCertificates: () => {},
    finish: () => {},
  }
}

function newKey(): Key {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const spki = new Uint8Array(publicKey.export({ type: 'spki', format: 'der' }))
  return { privateKey, spki, point: spki.subarray(-64) }
}

function spec(
  subject: string,
  issuer: string,
  key: KeyName,
  signer: KeyName,
  pathLength?: number,
): CertificateSpec {
  return {
    subject,
    issuer,
    key,
    signer,
    authority: signer,
    serial: createHash('sha1').update(key).digest(),
    notBefore: AT - 100 * DAY,
    notAfter: AT + 1000 * DAY,
    ca: pathLength !== undefined,
    pathLength,
    keyUsage: pathLength === undefined ? 0xc0 : 0x06,
    algorithm: ECDSA_WITH_SHA256,
    extensions: [],
    without: [],
  }
}

function crlSpec(issuer: string, signer: KeyName): CrlSpec {
  return {
    issuer,
    signer,
    authority: signer,
    thisUpdate: AT - 10 * DAY,
    nextUpdate: AT + 10 * DAY,
    revoked: [],
    entryExtensions: [],
    algorithm: ECDSA_WITH_SHA256,
    extensions: [],
    without: [],
  }
}

function algorithm(oid: string): Uint8Array {
  return derSequence(derOid(oid))
}

function nameOf(commonName: string): Uint8Array {
  const attribute = (oid: string, value: string): Uint8Array =>
    derSet(derSequence(derOid(oid), derUtf8(value)))
  return derSequence(attribute('2.5.4.3', commonName), attribute('2.5.4.10', 'Forge'))
}

function keyId(name: KeyName): Uint8Array {
  return createHash('sha1')
    .update(concat(new Uint8Array([4]), KEYS[name].point))
    .digest()
}

function authorityKeyId(name: KeyName): Uint8Array {
  return extension('2.5.29.35', derSequence(der(implicitTag(0), keyId(name))))
}

function usual(
  list: readonly (readonly [string, Uint8Array])[],
  without: readonly string[],
): Uint8Array[] {
  return list.filter(([oid]) => !without.includes(oid)).map(([, value]) => value)
}

function certificate(parts: CertificateSpec, more: readonly Uint8Array[] = []): Uint8Array {
  const constraints = derSequence(
    ...(parts.ca ? [derBoolean(true)] : []),
    ...(parts.pathLength === undefined ? [] : [derInteger(parts.pathLength)]),
  )
  const usage = der(0x03, new Uint8Array([parts.keyUsage & 1 ? 0 : 1, parts.keyUsage]))
  const extensions = [
    ...usual(
      [
        ['2.5.29.35', authorityKeyId(parts.authority)],
        ['2.5.29.14', extension('2.5.29.14', derOctets(keyId(parts.key)))],
        ['2.5.29.15', extension('2.5.29.15', usage, true)],
        ['2.5.29.19', extension('2.5.29.19', constraints, true)],
      ],
      parts.without,
    ),
    ...more,
    ...parts.extensions,
  ]
  return signed(
    parts.signer,
    parts.algorithm,
    derSequence(
      derExplicit(0, derInteger(2)),
      derInteger(parts.serial),
      algorithm(parts.algorithm),
      nameOf(parts.issuer),
      derSequence(derTime(parts.notBefore), derTime(parts.notAfter)),
      nameOf(parts.subject),
      KEYS[parts.key].spki,
      derExplicit(3, derSequence(...extensions)),
    ),
  )
}

function crl(parts: CrlSpec): Uint8Array {
  const { entryExtensions } = parts
  const entries = parts.revoked.map((serial) =>
    derSequence(
      derInteger(serial),
      derTime(parts.thisUpdate),
      ...(entryExtensions.length === 0 ? [] : [derSequence(...entryExtensions)]),
    ),
  )
  const extensions = usual(
    [
      ['2.5.29.20', extension('2.5.29.20', derInteger(1))],
      ['2.5.29.35', authorityKeyId(parts.authority)],
    ],
    parts.without,
  )
  return signed(
    parts.signer,
    parts.algorithm,
    derSequence(
      derInteger(1),
      algorithm(parts.algorithm),
      nameOf(parts.issuer),
      derTime(parts.thisUpdate),
      ...(parts.nextUpdate === undefined ? [] : [derTime(parts.nextUpdate)]),
      ...(entries.length === 0 ? [] : [derSequence(...entries)]),
      derExplicit(0, derSequence(...extensions, ...parts.extensions)),
    ),
  )
}

function signed(signer: KeyName, oid: string, tbs: Uint8Array): Uint8Array {
  const signature = sign('sha256', tbs, KEYS[signer].privateKey)
  return derSequence(tbs, algorithm(oid), derBits(signature))
}

function sgxExtension(sgx: ForgeParts['sgx']): Uint8Array {
  const base = '1.2.840.113741.1.13.1'
  const pair = (suffix: string, value: Uint8Array): Uint8Array =>
    derSequence(derOid(`${base}.${suffix}`), value)
  const tcb = derSequence(
    ...sgx.components.map((svn, i) => pair(`2.${i + 1}`, derInteger(svn))),
    pair('2.17', derInteger(sgx.pceSvn)),
    pair('2.18', derOctets(Uint8Array.from(sgx.components))),
  )
  const pairs = [
    pair('1', derOctets(new Uint8Array(16).fill(1))),
    pair('2', tcb),
    pair('3', derOctets(sgx.pceId)),
    pair('4', derOctets(sgx.fmspc)),
    pair('5', derEnumerated(sgx.platform ? 1 : 0)),
  ]
  if (sgx.platform) {
    pairs.push(
      pair('6', derOctets(Uint8Array.from({ length: 16 }, (_, i) => i))),
      pair(
        '7',
        derSequence(
          pair('7.1', derBoolean(true)),
          pair('7.2', derBoolean(false)),
          pair('7.3', derBoolean(true)),
        ),
      ),
    )
  }
  return extension(base, derSequence(...sgx.edit(pairs)))
}
