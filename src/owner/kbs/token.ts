import { type KeyObject, sign, verify } from 'node:crypto'
import { fromBase64Url, toBase64, toBase64Url, utf8 } from '#lib/bytes'
import {
  boolean,
  integer,
  type JsonObject,
  type JsonValue,
  object,
  parseJson,
  string,
} from '#lib/json'
import type { EnclaveFacts } from '#lib/policy'
import { parseTeeKey, type TeeKey } from '#protocol/kbs'
import { KbsError } from './kbs-error.ts'

/** Lifetime of a token, in seconds. */
export const TOKEN_SECONDS = 300

/** Difference of clocks that `exp` forgives, in seconds. Both clocks are this broker's. */
const LEEWAY = 5
const ANNOTATED = 'ear.veraison.annotated-evidence'
const MEMBER = 'enclave-cc'

/** What a broker attests: the content of a token. */
export interface TokenFacts {
  readonly enclave: EnclaveFacts
  readonly platform: string
  /** Key id of the root that the platform stands on. */
  readonly root: string
  /** 32 hex digits: the machine that stands on it, for the limit of what one machine causes. */
  readonly machine: string
  readonly tcbStatus: string
  /** Namespace of the init-data, `''` if none. */
  readonly namespace: string
  readonly status: string
  readonly teeKey: TeeKey
  /** Decision that the token stands for. */
  readonly decisionId: string
}

/** What else goes into a token, for other readers of the same form. */
export interface TokenInput extends TokenFacts {
  /** Claims under the TEE's name, CoCo's names. */
  readonly claims: JsonObject
  readonly reportData: string
  readonly runtimeData: JsonObject
  /** CONFIGID in hexadecimal. */
  readonly initData: string
  readonly initDataClaims: JsonValue
}

/** Who signs and who reads. */
export interface TokenAuthority {
  /** Issuer and audience. */
  readonly id: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  /** DER certificates of the key, leaf first. */
  readonly chain: readonly Uint8Array[]
  readonly build: string
}

// AR4SI: what an accepted enclave is worth. A refused one gets no token.
const VECTOR = {
  'instance-identity': 0,
  configuration: 2,
  executables: 3,
  'file-system': 0,
  hardware: 2,
  'runtime-opaque': 0,
  'storage-opaque': 0,
  'sourced-data': 0,
}

/** Issues an EAR (RATS, draft-ietf-rats-ear) as a JWT signed ES256. `now` in milliseconds since 1970. */
export function issueToken(authority: TokenAuthority, input: TokenInput, now: number): string {
  const { x, y } = authority.publicKey.export({ format: 'jwk' })
  const x5c = authority.chain.map(toBase64)
  const jwk = { kty: 'EC', crv: 'P-256', alg: 'ES256', x, y, x5c }
  const iat = Math.floor(now / 1000)
  const payload = {
    eat_profile: 'tag:github.com,2024:confidential-containers/Trustee',
    iat,
    exp: iat + TOKEN_SECONDS,
    iss: authority.id,
    aud: authority.id,
    jti: input.decisionId,
    'ear.verifier-id': { developer: 'enclave-cc', build: authority.build },
    submods: {
      cpu0: {
        'ear.status': input.status,
        'ear.trustworthiness-vector': VECTOR,
        'ear.appraisal-policy-id': 'default',
        [ANNOTATED]: {
          sgx: input.claims,
          report_data: input.reportData,
          runtime_data_claims: input.runtimeData,
          init_data: input.initData,
          init_data_claims: input.initDataClaims,
          [MEMBER]: {
            platform: input.platform,
            root: input.root,
            machine: input.machine,
            tcbStatus: input.tcbStatus,
            namespace: input.namespace,
            enclave: { ...input.enclave },
          },
        },
      },
    },
  }
  const signed = [{ typ: 'JWT', alg: 'ES256', jwk }, payload]
    .map((part) => toBase64Url(utf8(JSON.stringify(part))))
    .join('.')
  const options = { key: authority.privateKey, dsaEncoding: 'ieee-p1363' } as const
  return `${signed}.${toBase64Url(sign('sha256', utf8(signed), options))}`
}

/**
 * Verifies a token of this broker for this broker and returns what it says. The header's own key
 * is never used: a token that only its own header vouches for is someone else's.
 * Throws KbsError KBS_TOKEN_INVALID.
 */
export function verifyToken(authority: TokenAuthority, token: string, now: number): TokenFacts {
  const parts = token.split('.')
  const [header = '', payload = '', signature = ''] = parts
  try {
    if (parts.length !== 3) throw new Error('it does not have three parts')
    const head = object(parseJson(fromBase64Url(header, 'header')), 'header')
    if (head.alg !== 'ES256') throw new Error('its algorithm is not ES256')
    const key = { key: authority.publicKey, dsaEncoding: 'ieee-p1363' } as const
    const bytes = fromBase64Url(signature, 'signature', 64)
    if (!verify('sha256', utf8(`${header}.${payload}`), key, bytes)) {
      throw new Error('this broker did not sign it')
    }
    const claims = object(parseJson(fromBase64Url(payload, 'payload')), 'payload')
    if (claims.aud !== authority.id || claims.iss !== authority.id) {
      throw new Error('it is for another broker')
    }
    if (integer(claims.exp, 'exp') + LEEWAY < now / 1000) throw new Error('it has expired')
    return readFacts(claims)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : 'it is malformed'
    throw new KbsError('KBS_TOKEN_INVALID', `verifying a token: ${why}`, { cause })
  }
}

function readFacts(claims: JsonObject): TokenFacts {
  const cpu = object(object(claims.submods, 'submods').cpu0, 'cpu0')
  const evidence = object(cpu[ANNOTATED], ANNOTATED)
  const runtime = object(evidence.runtime_data_claims, 'runtime_data_claims')
  const ours = object(evidence[MEMBER], MEMBER)
  const e = object(ours.enclave, 'enclave')
  return {
    enclave: {
      mrEnclave: string(e.mrEnclave, 'mrEnclave'),
      mrSigner: string(e.mrSigner, 'mrSigner'),
      isvProdId: integer(e.isvProdId, 'isvProdId'),
      isvSvn: integer(e.isvSvn, 'isvSvn'),
      debug: boolean(e.debug, 'debug'),
      program: string(e.program, 'program'),
      reference: string(e.reference, 'reference'),
    },
    platform: string(ours.platform, 'platform'),
    root: string(ours.root, 'root'),
    machine: string(ours.machine, 'machine'),
    tcbStatus: string(ours.tcbStatus, 'tcbStatus'),
    namespace: string(ours.namespace, 'namespace'),
    status: string(cpu['ear.status'], 'ear.status'),
    teeKey: parseTeeKey(runtime['tee-pubkey']),
    decisionId: string(claims.jti, 'jti'),
  }
}
