import {
  boolean,
  type JsonObject,
  type JsonValue,
  nullable,
  object,
  optional,
  string,
} from '#lib/json'
import { parseTeeKey, type TeeKey } from './tee-key.ts'

/** Prefix of every route. */
export const KBS_PREFIX = '/kbs/v0'

/** The protocol version that we speak. */
export const KBS_VERSION = '0.4.0'

/** Name of the session cookie. */
export const SESSION_COOKIE = 'kbs-session-id'

/** Header of answers that carry a signed head of the broker's audit log (ours). */
export const AUDIT_HEAD_HEADER = 'enclave-cc-audit-head'

/** Largest request body that a broker reads: 2 MiB, as upstream. */
export const MAX_BODY: number = 2 * 1024 * 1024

/** `POST auth`. */
export interface AuthRequest {
  readonly version: string
  readonly tee: string
  /** Any JSON value, but present. */
  readonly 'extra-params': JsonValue
}

/** Answer to `POST auth`. */
export interface Challenge {
  /** Base64 of 32 random bytes. */
  readonly nonce: string
  readonly 'extra-params': JsonValue
}

/** `POST attest`, with the session cookie. */
export interface Attestation {
  readonly 'init-data'?: { readonly format: 'toml'; readonly body: string }
  readonly 'runtime-data': { readonly nonce: string; readonly 'tee-pubkey': TeeKey }
  readonly 'tee-evidence': {
    readonly primary_evidence: JsonObject
    /** JSON text of further devices' evidence, or `''`. Hashed as it was sent. */
    readonly additional_evidence: string
  }
}

/** Flattened JWE of a resource, each member URL base64. */
export interface ResourceResponse {
  readonly protected: string
  readonly encrypted_key: string
  readonly iv: string
  readonly ciphertext: string
  readonly tag: string
}

/** Body of a refusal: upstream's two members and ours. */
export interface Problem {
  /** `https://github.com/confidential-containers/kbs/errors/<Variant>` */
  readonly type: string
  readonly detail: string
  /** Stable code of `docs/errors.md`. */
  readonly code?: string
  /** For `enclave-cc kbs explain ID`. */
  readonly correlationId?: string
  readonly next?: string
  readonly retryable?: boolean
}

/** Parses the body of `POST auth`. Throws FormatError. */
export function parseAuthRequest(value: unknown): AuthRequest {
  const body = object(value, 'request')
  const extra = body['extra-params']
  // Upstream fails to parse a request without it, so a client that leaves it out is told here.
  if (extra === undefined) string(extra, 'request.extra-params')
  return {
    version: string(body.version, 'request.version', { max: 32 }),
    tee: string(body.tee, 'request.tee', { max: 32 }),
    'extra-params': extra as JsonValue,
  }
}

/** Parses the answer to `POST auth`. Throws FormatError. */
export function parseChallenge(value: unknown): Challenge {
  const body = object(value, 'challenge')
  return {
    nonce: string(body.nonce, 'challenge.nonce', { max: 512 }),
    'extra-params': body['extra-params'] ?? '',
  }
}

/** Parses the body of `POST attest`. Throws FormatError. */
export function parseAttestation(value: unknown): Attestation {
  const body = object(value, 'attestation')
  const runtime = object(body['runtime-data'], 'runtime-data')
  const evidence = object(body['tee-evidence'], 'tee-evidence')
  const initData = nullable(body['init-data'], (v) => {
    const found = object(v, 'init-data')
    const format = string(found.format, 'init-data.format', { pattern: /^toml$/ }) as 'toml'
    return { format, body: string(found.body, 'init-data.body', { max: 65_536 }) }
  })
  return {
    ...(initData === undefined ? {} : { 'init-data': initData }),
    'runtime-data': {
      nonce: string(runtime.nonce, 'runtime-data.nonce', { max: 512 }),
      'tee-pubkey': parseTeeKey(runtime['tee-pubkey']),
    },
    'tee-evidence': {
      primary_evidence: object(evidence.primary_evidence, 'primary_evidence'),
      additional_evidence: string(evidence.additional_evidence, 'additional_evidence'),
    },
  }
}

/** Parses the answer to `POST attest`: the token. Throws FormatError. */
export function parseTokenResponse(value: unknown): string {
  return string(object(value, 'response').token, 'response.token', { max: 262_144 })
}

/** Parses a JWE answer. Throws FormatError; nothing is decrypted. */
export function parseResourceResponse(value: unknown): ResourceResponse {
  const body = object(value, 'JWE')
  const part = (name: keyof ResourceResponse): string =>
    string(body[name], `JWE ${name}`, { max: 8 * 1024 * 1024, pattern: /^[A-Za-z0-9_-]*$/ })
  return {
    protected: part('protected'),
    encrypted_key: part('encrypted_key'),
    iv: part('iv'),
    ciphertext: part('ciphertext'),
    tag: part('tag'),
  }
}

/** Parses a refusal, ours or another broker's. Throws FormatError if it is neither. */
export function parseProblem(value: unknown): Problem {
  const body = object(value, 'problem')
  const text = (name: string): string | undefined =>
    optional(body[name], (v) => string(v, `problem.${name}`, { max: 4096 }))
  const code = optional(text('code'), (v) => string(v, 'problem.code', { pattern: /^[A-Z0-9_]+$/ }))
  const id = text('correlationId')
  const next = text('next')
  const retryable = optional(body.retryable, (v) => boolean(v, 'problem.retryable'))
  return {
    type: text('type') ?? '',
    detail: text('detail') ?? '',
    ...(code === undefined ? {} : { code }),
    ...(id === undefined ? {} : { correlationId: id }),
    ...(next === undefined ? {} : { next }),
    ...(retryable === undefined ? {} : { retryable }),
  }
}
