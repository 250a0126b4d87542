import type { Tee } from '#lib/attest'
import { fromBase64Url, fromUtf8, toBase64 } from '#lib/bytes'
import { headers } from '#lib/http'
import { integer, type JsonObject, object, optional, parseJson, string } from '#lib/json'
import {
  type AuthRequest,
  KBS_VERSION,
  parseChallenge,
  parseTokenResponse,
  rcarReportData,
  SESSION_COOKIE,
} from '#protocol/kbs'
import { answerInvalid } from './broker-error.ts'
import { answerJson, type BrokerWire, exchange } from './exchange.ts'
import type { SessionKey } from './session-key.ts'

/** An attestation token as it was received. */
export interface Token {
  /** The JWT. It is the broker's to verify; it came from the pinned broker itself. */
  readonly jwt: string
  readonly claims: JsonObject
  /** Unix seconds. */
  readonly issuedAt: number
  /** Unix seconds. */
  readonly expiresAt: number
  /** The broker's id of its decision (claim `jti` of our broker), if it gave one. */
  readonly decisionId: string | undefined
}

/** What an attestation needs. */
export interface AttestationOptions {
  readonly wire: BrokerWire
  readonly tee: Tee
  readonly key: SessionKey
  /** The init-data document, as text of its exact bytes. */
  readonly initData: string
}

const ATTEMPT = 'attesting to the broker'

/**
 * One RCAR handshake (CoCo's KBS protocol): request, challenge, evidence over nonce and ephemeral key,
 * token. Throws BrokerError, HttpError, or what the platform throws.
 */
export async function attest(options: AttestationOptions): Promise<Token> {
  const { wire, tee, key } = options
  const request: AuthRequest = {
    version: KBS_VERSION,
    tee: 'sgx',
    'extra-params': { 'supported-hash-algorithms': ['sha384'] },
  }
  const auth = await exchange(wire, {
    method: 'POST',
    path: 'auth',
    attempt: ATTEMPT,
    json: { ...request },
  })
  const challenge = answerJson(ATTEMPT, auth.body, parseChallenge)
  checkHash(challenge['extra-params'])
  const teeKey = key.teeKey
  const reportData = rcarReportData({ nonce: challenge.nonce, teeKey, additionalEvidence: '' })
  const evidence = await evidenceOf(tee, reportData)
  const answer = await exchange(wire, {
    method: 'POST',
    path: 'attest',
    attempt: ATTEMPT,
    headers: { cookie: sessionCookie(headers(auth.response, 'set-cookie')) },
    json: {
      'init-data': { format: 'toml', body: options.initData },
      'runtime-data': { nonce: challenge.nonce, 'tee-pubkey': { ...teeKey } },
      'tee-evidence': { primary_evidence: evidence, additional_evidence: '' },
    },
  })
  return readToken(answerJson(ATTEMPT, answer.body, parseTokenResponse))
}

/** Claims and times of a token; its signature is not checked, see `Token.jwt`. */
export function readToken(jwt: string): Token {
  try {
    const [, payload = ''] = jwt.split('.')
    const text = fromUtf8(fromBase64Url(payload, 'token'), 'token')
    const claims = object(parseJson(text, { maxBytes: 1024 * 1024 }), 'token')
    const issuedAt = integer(claims.iat, 'token.iat')
    const expiresAt = integer(claims.exp, 'token.exp')
    const decisionId = optional(claims.jti, (value) => string(value, 'token.jti', { max: 128 }))
    return { jwt, claims, issuedAt, expiresAt, decisionId }
  } catch (cause) {
    throw answerInvalid(ATTEMPT, 'the token is not a JWT with iat and exp', cause)
  }
}

async function evidenceOf(tee: Tee, reportData: Uint8Array): Promise<JsonObject> {
  const quote = toBase64(await tee.quote(reportData))
  // The simulated root has no online collateral service, so its collateral travels along. It is
  // signed by that root: a broker need not trust the way it came.
  const collateral = await tee.collateral?.()
  if (collateral === undefined) return { quote }
  const json = object(parseJson(collateral, { maxBytes: 1024 * 1024 }), 'collateral')
  return { quote, collateral: json }
}

function checkHash(extra: unknown): void {
  if (typeof extra !== 'object' || extra === null) return
  const { 'selected-hash-algorithm': selected } = object(extra, 'extra-params')
  const name = optional(selected, (value) => string(value, 'selected-hash-algorithm', { max: 16 }))
  if (name !== undefined && name.toLowerCase() !== 'sha384') {
    throw answerInvalid(ATTEMPT, 'the broker wants another hash than sha384')
  }
}

function sessionCookie(values: readonly string[]): string {
  for (const value of values) {
    const found = new RegExp(`^${SESSION_COOKIE}=([A-Za-z0-9-]{1,128})(?:;|$)`).exec(value)
    if (found !== null) return `${SESSION_COOKIE}=${found[1]}`
  }
  throw answerInvalid(ATTEMPT, 'the challenge comes without its session cookie')
}
