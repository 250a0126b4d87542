import { toBase64Url, toHex, utf8 } from '#lib/bytes'
import { resourceName } from '#lib/initdata'
import { type JsonObject, object } from '#lib/json'
import {
  AUDIT_HEAD_HEADER,
  decisionProven,
  KBS_VERSION,
  parseAttestation,
  parseAuthRequest,
  rcarReportData,
  SESSION_COOKIE,
  teePublicKey,
} from '#protocol/kbs'
import { appraise } from './appraise.ts'
import type { Broker, Refusal } from './broker.ts'
import { ALLOWED, parseLaunchReport } from './decision.ts'
import { encryptToTeeKey } from './jwe.ts'
import { KbsError } from './kbs-error.ts'
import { release } from './release.ts'
import {
  type BrokerReply,
  type BrokerRequest,
  bearer,
  cookie,
  jsonBody,
  jsonReply,
} from './request.ts'
import { issueToken, type TokenFacts, verifyToken } from './token.ts'

/** `POST auth`: a challenge and the session it belongs to. */
export async function auth(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const { version, tee } = parseAuthRequest(jsonBody(request))
  if (version !== KBS_VERSION) {
    // Upstream's own sentence: people search for it.
    const shown = /^[\w.+-]{1,32}$/.test(version) ? version : 'unreadable'
    const found = `expect =${KBS_VERSION} while the request is ${shown}`
    const message = `Attestation error: RCAR handshake Auth failed: KBS Client Protocol Version Mismatch: ${found}`
    throw new KbsError('KBS_PROTOCOL_VERSION', message)
  }
  if (tee !== 'sgx') {
    throw new KbsError('KBS_TEE_UNSUPPORTED', 'opening a session: the TEE is not sgx')
  }
  const session = broker.sessions.open(broker.parts.now())
  const challenge = { nonce: session.nonce, 'extra-params': '' }
  return jsonReply(challenge, sessionCookie(session.id, session.expires, request))
}

/** `POST attest`: evidence for the session's nonce, and a token for it. */
export async function attest(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const id = cookie(request, SESSION_COOKIE)
  if (id === undefined) {
    throw new KbsError('KBS_SESSION_UNKNOWN', 'attesting: there is no session cookie')
  }
  const attestation = parseAttestation(jsonBody(request))
  const runtime = attestation['runtime-data']
  const evidence = attestation['tee-evidence']
  const key = runtime['tee-pubkey']
  teePublicKey(key)
  if (evidence.additional_evidence !== '') {
    throw new KbsError('KBS_TEE_UNSUPPORTED', 'attesting: further devices are not judged here')
  }
  const { now } = broker.parts
  // A nonce is spent before anything is judged, so that nobody tries evidence on it twice.
  const session = broker.sessions.take(id, now())
  const { nonce } = session
  if (runtime.nonce !== nonce) {
    throw new KbsError('KBS_SESSION_UNKNOWN', 'attesting: the nonce is not that of the session')
  }
  const reportData = rcarReportData({ nonce, teeKey: key, additionalEvidence: '' })
  const appraisal = appraise(
    {
      evidence: evidence.primary_evidence,
      initData: attestation['init-data']?.body,
      reportData,
      now: now(),
    },
    broker,
  )
  const { accepted, ...verdict } = appraisal
  if (accepted === undefined) throw refusal(await broker.recordRefusal(verdict))
  const record = await broker.recordFor(accepted.machine, 'appraise', verdict, accepted.floors)
  const token = issueToken(
    broker.authority,
    {
      ...accepted,
      status: 'affirming',
      teeKey: key,
      decisionId: record.id,
      reportData: toHex(reportData),
      runtimeData: {
        'additional-evidence': '',
        nonce,
        'tee-pubkey': { ...key },
      } satisfies JsonObject,
    },
    now(),
  )
  broker.sessions.attested(session, token, now())
  return jsonReply({ token }, await headHeader(broker))
}

/** `GET resource/NAMESPACE/TYPE/TAG`: the value, encrypted to the enclave's key. */
export async function getResource(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const token = tokenOf(broker, request)
  const name = resourceName(request.path.slice(1))
  const record = await broker.recordFor(
    token.machine,
    'release',
    release(token, name, broker.releaseBasis),
  )
  if (record.code !== ALLOWED) throw refusal(record)
  // Looked up only after the policy: who may not read a name does not learn whether it exists.
  const resource = await broker.readResource(name)
  if (resource === undefined) {
    throw new KbsError('RESOURCE_NOT_FOUND', 'reading a resource: there is none of this name', {
      correlationId: record.id,
    })
  }
  const response = encryptToTeeKey(token.teeKey, resource.value)
  return jsonReply(response, await headHeader(broker))
}

/** `POST enclave-cc/decisions` (ours): an agent reports what it decided about a launch. */
export async function reportDecision(broker: Broker, request: BrokerRequest): Promise<BrokerReply> {
  const token = tokenOf(broker, request)
  // Whoever runs the enclave sees its token, but never has its key.
  if (!decisionProven(token.teeKey, token.text, request.body, request.proof)) {
    throw new KbsError(
      'KBS_PROOF_INVALID',
      'taking a report: it does not prove that the attested enclave made it',
    )
  }
  const report = parseLaunchReport(jsonBody(request))
  const subject = `${report.subject} (reported by enclave ${token.enclave.mrEnclave}, ${token.namespace})`
  const record = await broker.recordFor(token.machine, 'launch', { ...report, subject })
  return jsonReply({ id: record.id })
}

// A token that is given outranks the session: a stale cookie must not hide a good token.
function tokenOf(broker: Broker, request: BrokerRequest): TokenFacts & { readonly text: string } {
  const now = broker.parts.now()
  const given = bearer(request)
  const session = cookie(request, SESSION_COOKIE)
  const token = given ?? (session === undefined ? undefined : broker.sessions.token(session, now))
  if (token === undefined) {
    throw new KbsError(
      'KBS_TOKEN_MISSING',
      'reading a resource: neither token nor attested session',
    )
  }
  return { ...verifyToken(broker.authority, token, now), text: token }
}

function refusal({ code, id, next, kind }: Refusal): KbsError {
  const told = { next, ...(id === undefined ? {} : { correlationId: id }) }
  return new KbsError(code as KbsError['code'], `${kind}: refused`, told)
}

async function headHeader(broker: Broker): Promise<Record<string, string>> {
  const head = JSON.stringify(object({ ...(await broker.auditHead()) }, 'head'))
  return { [AUDIT_HEAD_HEADER]: toBase64Url(utf8(head)) }
}

function sessionCookie(
  id: string,
  expires: number,
  request: BrokerRequest,
): Record<string, string> {
  const secure = request.secure ? '; Secure' : ''
  const rest = `Expires=${new Date(expires).toUTCString()}; Path=/kbs/v0; HttpOnly; SameSite=Strict${secure}`
  return { 'Set-Cookie': `${SESSION_COOKIE}=${id}; ${rest}` }
}
