import { createHash } from 'node:crypto'
import {
  AttestError,
  type Collateral,
  FLAGS,
  parseCollateral,
  type QuoteResult,
  sgxClaims,
  TCB_STATUSES,
  type VerifiedEvidence,
  verifyQuote,
} from '#lib/attest'
import { equalBytes, fromBase64, toHex, utf8 } from '#lib/bytes'
import {
  envelopeDigest,
  INIT_DATA_MEMBER,
  type InitData,
  parseEnvelope,
  parseInitDataMember,
} from '#lib/initdata'
import { type JsonObject, type JsonValue, string } from '#lib/json'
import { type AppraiseRequest, type EnclaveFacts, evaluate } from '#lib/policy'
import { collateralFloors } from './collateral-floors.ts'
import { ALLOWED, type Claim, type Verdict } from './decision.ts'
import { closestReference, matchReference, type Reference } from './reference.ts'
import { isTrusted, type Root, scopesOf } from './root.ts'

/** What an appraisal looks at beside the evidence: the owner's data, read once a request. */
export interface AppraiseBasis {
  readonly roots: readonly Root[]
  readonly references: readonly Reference[]
  /** Cedar text. */
  readonly policy: string
  /** SPKI pin of this broker's TLS key. */
  readonly pin: string
  /** Highest number seen or kept, by name of `collateralFloors`. */
  floor(key: string): bigint
  /** Milliseconds for which expired collateral still counts; 0 unless the owner said otherwise. */
  readonly collateralGrace: number
  /** Collateral that the broker keeps for platforms that send none. */
  collateral(quote: Uint8Array): Collateral | undefined
}

/** Evidence as it came. */
export interface AppraiseInput {
  readonly evidence: JsonObject
  /** The init-data document as it came, if any. */
  readonly initData: string | undefined
  /** 64 bytes: session nonce and TEE key. */
  readonly reportData: Uint8Array
  /** Milliseconds since 1970. */
  readonly now: number
}

/** A verdict, and on an allow what goes into the token. */
export interface Appraisal extends Verdict {
  readonly accepted?: {
    readonly enclave: EnclaveFacts
    readonly platform: 'simulated' | 'sgx'
    readonly root: string
    /** Whose log entries these are, see `machineOf`. */
    readonly machine: string
    readonly tcbStatus: string
    readonly namespace: string
    readonly claims: JsonObject
    readonly initData: string
    readonly initDataClaims: JsonValue
    /** Numbers below which this broker will take no collateral any more. */
    readonly floors: ReadonlyMap<string, bigint>
  }
}

/** What a platform's owner has to do differs: these refusals of a quote have codes of their own. */
const QUOTE_CODES: Readonly<Record<string, string>> = {
  TCB_NOT_SUPPORTED: 'APPRAISE_TCB',
  TCB_STATUS_UNKNOWN: 'APPRAISE_TCB',
  TCB_REVOKED: 'APPRAISE_TCB',
  PCK_REVOKED: 'APPRAISE_REVOKED',
  INTERMEDIATE_REVOKED: 'APPRAISE_REVOKED',
  TCB_SIGNER_REVOKED: 'APPRAISE_REVOKED',
  CRL_EXPIRED: 'APPRAISE_COLLATERAL_EXPIRED',
  TCB_INFO_EXPIRED: 'APPRAISE_COLLATERAL_EXPIRED',
  QE_IDENTITY_EXPIRED: 'APPRAISE_COLLATERAL_EXPIRED',
}

/**
 * Judges evidence: first that it is genuine, made for this session, and not backed by collateral
 * older than what was seen before; then, by policy, that its claims are acceptable. Pure; the
 * caller records the verdict and raises the floors.
 */
export function appraise(input: AppraiseInput, basis: AppraiseBasis): Appraisal {
  const initData = readInitData(input.initData)
  const result = verify(input, basis)
  const body = result.evidence?.quote.body
  if (result.evidence === undefined || body === undefined || result.platform === undefined) {
    return { ...ungenuine(result, basis), subject: subjectOf(result), policyIds: [] }
  }
  const { evidence, platform } = result
  const measurement = {
    mrEnclave: toHex(body.mrEnclave),
    mrSigner: toHex(body.mrSigner),
    isvProdId: body.isvProdId,
    isvSvn: body.isvSvn,
  }
  const reference = matchReference(basis.references, measurement)
  const debug = (body.flags & FLAGS.DEBUG) !== 0n
  const bound = boundInitData(initData, evidence)
  const enclave: EnclaveFacts = {
    ...measurement,
    debug,
    program: reference?.program ?? '',
    reference: reference?.name ?? '',
  }
  const pins = initData.ours?.broker.pins ?? []
  const namespace = (bound && initData.ours?.broker.namespace) || ''
  const floors = floorsOf(evidence)
  const checks: (Claim & { readonly code: string; readonly hard?: boolean })[] = [
    ...genuineChecks(result),
    {
      code: 'APPRAISE_ROOT_UNTRUSTED',
      hard: true,
      ...claim(
        'rootNamespace',
        scopesOf(basis.roots, evidence.anchor.keyId),
        namespace || 'none',
        isTrusted(basis.roots, evidence.anchor.keyId, namespace),
      ),
    },
    ...[...floors].map(([key, value]) => ({
      code: 'APPRAISE_COLLATERAL_ROLLBACK',
      hard: true,
      ...claim(key, [`at least ${basis.floor(key)}`], `${value}`, value >= basis.floor(key)),
    })),
    {
      code: 'APPRAISE_MEASUREMENT',
      ...claim(
        'mrEnclave',
        expectedMeasurements(basis.references),
        showMeasurement(measurement),
        reference !== undefined,
      ),
    },
    { code: 'APPRAISE_DEBUG', ...claim('debug', ['false'], String(debug), !debug) },
    {
      code: 'APPRAISE_TCB',
      ...claim(
        'tcbStatus',
        ['UpToDate', 'SWHardeningNeeded'],
        evidence.tcb.status,
        ['UpToDate', 'SWHardeningNeeded'].includes(evidence.tcb.status),
      ),
    },
    {
      code: 'APPRAISE_INIT_DATA',
      // Sent and different is a lie and ends here; not sent at all is for the policy to judge.
      hard: initData.digest !== undefined,
      ...claim(
        'initData',
        [initData.digest === undefined ? 'an init-data document' : toHex(initData.digest)],
        initData.error ?? toHex(body.configId),
        bound && initData.error === undefined,
      ),
    },
    {
      code: 'APPRAISE_OTHER_BROKER',
      ...claim('brokerPin', [basis.pin], pins.join(' ') || 'none', pins.includes(basis.pin)),
    },
  ]
  const subject = `enclave ${measurement.mrEnclave} on a ${platform} platform`
  const claims = checks.map(({ name, expected, actual, ok }) => ({ name, expected, actual, ok }))
  const closest = closestReference(basis.references, measurement)
  const common = {
    subject,
    claims,
    ...(reference === undefined && closest !== undefined ? { closestReference: closest } : {}),
  }
  const broken = checks.find((check) => check.hard === true && !check.ok)
  if (broken !== undefined) return { ...common, code: broken.code, policyIds: [] }

  const request: AppraiseRequest = {
    action: 'appraise',
    enclave,
    platform,
    tcbStatus: evidence.tcb.status,
    advisoryIds: evidence.tcb.advisoryIds,
    tcbEvaluationDataNumber: evidence.tcbEvaluationDataNumber,
    initData: { present: bound, thisBroker: bound && pins.includes(basis.pin), namespace },
  }
  const decision = evaluate('appraise', basis.policy, request)
  const { policyIds } = decision
  if (!decision.allowed) {
    const first = checks.find((check) => !check.ok)
    return { ...common, code: decision.code ?? first?.code ?? 'APPRAISE_POLICY', policyIds }
  }
  return {
    ...common,
    // What the default would refuse and this owner's policy accepts is accepted, and says by what.
    claims: claims.map((c) => (c.ok ? c : { ...c, expected: [...policyIds], ok: true })),
    code: ALLOWED,
    policyIds,
    accepted: {
      enclave,
      platform,
      root: evidence.anchor.keyId,
      machine: machineOf(platform, evidence),
      tcbStatus: evidence.tcb.status,
      namespace,
      claims: sgxClaims(result) as unknown as JsonObject,
      initData: toHex(body.configId),
      initDataClaims: bound ? initData.claims : null,
      floors,
    },
  }
}

/**
 * The machine of evidence, as far as its host cannot choose it: a PCK key of the manufacturer, or the
 * root of a simulated platform, which certifies as many keys as its host likes.
 */
function machineOf(platform: 'simulated' | 'sgx', { anchor, pckKey }: VerifiedEvidence): string {
  const named = platform === 'sgx' ? pckKey : utf8(anchor.keyId)
  return createHash('sha256').update(platform).update('\0').update(named).digest('hex').slice(0, 32)
}

interface InitDataFacts {
  /** By the document's own algorithm; undefined if none was sent. */
  readonly digest?: Uint8Array
  readonly ours?: InitData
  readonly claims: JsonValue
  readonly error?: string
}

function readInitData(document: string | undefined): InitDataFacts {
  if (document === undefined) return { claims: null }
  try {
    const envelope = parseEnvelope(document)
    const digest = envelopeDigest(document, envelope.algorithm)
    const member = envelope.data[INIT_DATA_MEMBER]
    const ours = member === undefined ? undefined : parseInitDataMember(member)
    return { digest, ...(ours === undefined ? {} : { ours }), claims: { ...envelope.data } }
  } catch (error) {
    const why = error instanceof Error ? error.message : 'malformed'
    return { digest: new Uint8Array(), claims: null, error: why }
  }
}

// CONFIGID carries meaning only with KSS, and zeros mean that none was given.
function boundInitData({ digest }: InitDataFacts, { quote }: VerifiedEvidence): boolean {
  if (digest === undefined || digest.length === 0) return false
  const expected = new Uint8Array(64)
  expected.set(digest)
  return (quote.body.flags & FLAGS.KSS) !== 0n && equalBytes(quote.body.configId, expected)
}

function verify(input: AppraiseInput, basis: AppraiseBasis): QuoteResult {
  const { now, reportData } = input
  const anchors = basis.roots.map(({ anchor }) => anchor)
  try {
    const quote = fromBase64(string(input.evidence.quote, 'quote', { max: 1_048_576 }), 'quote')
    const sent = input.evidence.collateral ?? undefined
    const kept = sent === undefined ? basis.collateral(quote) : undefined
    const collateral = kept ?? parseCollateral(sent)
    // Debug and TCB status are the appraise policy's; only what no policy may allow stays here.
    const policy = { allowDebug: true, tcbStatuses: TCB_STATUSES, reportData }
    const { collateralGrace } = basis
    return verifyQuote({ quote, collateral, anchors, now: new Date(now), policy, collateralGrace })
  } catch (error) {
    if (!(error instanceof Error) || !('code' in error)) throw error
    const field = error instanceof AttestError ? error.field : 'evidence'
    return unread(field ?? 'evidence', error.message)
  }
}

function unread(name: string, actual: string): QuoteResult {
  const nothing = { debug: null, mrEnclave: null, mrSigner: null, isvProdId: null, isvSvn: null }
  return {
    verified: false,
    accepted: false,
    advisoryIds: [],
    ...nothing,
    configId: null,
    fmspc: null,
    checks: [{ name, ok: false, expected: 'quote and collateral', actual }],
  }
}

function genuineChecks(result: QuoteResult): (Claim & { code: string; hard: true })[] {
  const codes: Record<string, string> = { 'report-data': 'APPRAISE_REPORT_DATA' }
  return result.checks
    .filter(({ name }) => name !== 'debug' && name !== 'tcb-status')
    .map(({ name, ok, expected, actual }) => ({
      code: codes[name] ?? 'APPRAISE_EVIDENCE',
      hard: true,
      ...claim(name, expected === undefined ? [] : [expected], actual ?? '', ok),
    }))
}

function ungenuine(
  result: QuoteResult,
  basis: AppraiseBasis,
): Pick<Verdict, 'code' | 'claims' | 'next'> {
  const claims = result.checks.map(({ name, ok, expected, actual }) =>
    claim(name, expected === undefined ? [] : [expected], actual ?? result.message ?? '', ok),
  )
  if (result.code === 'ROOT_UNTRUSTED') {
    const trusted = basis.roots.map(({ id, platform }) => `${platform} ${id}`)
    claims.push(
      claim('root', trusted.length === 0 ? ['none is trusted yet'] : trusted, 'another', false),
    )
    return { code: 'APPRAISE_ROOT_UNTRUSTED', claims }
  }
  const own = QUOTE_CODES[result.code ?? '']
  if (own !== undefined) return { code: own, claims }
  const next = result.next === undefined || result.next === '' ? {} : { next: result.next }
  return { code: 'APPRAISE_EVIDENCE', claims, ...next }
}

function subjectOf({ mrEnclave }: QuoteResult): string {
  return mrEnclave === null ? 'evidence that cannot be read' : `an enclave that claims ${mrEnclave}`
}

function floorsOf(evidence: VerifiedEvidence): ReadonlyMap<string, bigint> {
  const number = (hex: string): bigint => BigInt(`0x${hex === '' ? '0' : hex}`)
  return collateralFloors(
    { root: evidence.anchor.keyId, ca: evidence.ca },
    {
      tcbInfo: BigInt(evidence.tcbInfoNumber),
      qeIdentity: BigInt(evidence.qeIdentityNumber),
      pckCrl: number(evidence.pckCrlNumber),
      rootCrl: number(evidence.rootCrlNumber),
    },
  )
}

function expectedMeasurements(references: readonly Reference[]): string[] {
  if (references.length === 0) return ['none is registered yet']
  return references.slice(0, 16).map((reference) => {
    const { name, mrEnclave, mrSigner, isvProdId, minIsvSvn } = reference
    return mrEnclave === undefined
      ? `mrSigner ${mrSigner}, product ${isvProdId}, version at least ${minIsvSvn} (${name})`
      : `${mrEnclave} (${name})`
  })
}

function showMeasurement(found: Omit<EnclaveFacts, 'debug' | 'program' | 'reference'>): string {
  const { mrEnclave, mrSigner, isvProdId, isvSvn } = found
  return `${mrEnclave} (mrSigner ${mrSigner}, product ${isvProdId}, version ${isvSvn})`
}

// Certificates and documents of strangers end up here, and what is recorded is kept for ever.
const MAX_SHOWN = 1024

function claim(name: string, expected: readonly string[], actual: string, ok: boolean): Claim {
  const shown = (text: string): string =>
    text.length > MAX_SHOWN ? `${text.slice(0, MAX_SHOWN)}…` : text
  return { name, expected: expected.map(shown), actual: shown(actual), ok }
}
