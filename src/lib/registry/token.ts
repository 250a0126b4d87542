import { fromUtf8, toBase64, utf8 } from '#lib/bytes'
import { discard, type HttpResponse, readBody } from '#lib/http'
import { integer, nullable, object, parseJson, string } from '#lib/json'
import { invalidAnswer, refusal } from './answer.ts'
import type { Credential } from './credential.ts'
import { exchange, type Wire } from './exchange.ts'

/** What to ask a token server for. */
export interface TokenRequest {
  readonly realm: URL
  readonly service: string | undefined
  readonly scopes: readonly string[]
  readonly credential: Credential | undefined
  /** Nobody but the registry named the realm: stricter address rules hold. */
  readonly redirected: boolean
  readonly signal?: AbortSignal
}

/** A bearer token. */
export interface Token {
  readonly value: string
  /** Milliseconds since 1970 after which a new one is fetched. */
  readonly refreshAt: number
}

const MAX_BODY = 1024 * 1024
const MIN_LIFE = 60
const CLIENT_ID = 'enclave-cc'
const ATTEMPT = 'asking the token server'
// RFC 6750 b68token; anything else could end the header line early.
const TOKEN = /^[A-Za-z0-9._~+/=-]{1,65536}$/

/**
 * Gets a token (distribution specification, token authentication): GET with Basic, or for an identity token the OAuth2
 * POST, and GET again where the server does not know that. Redirects are not followed: the
 * credentials are for the realm alone.
 */
export async function fetchToken(wire: Wire, request: TokenRequest): Promise<Token> {
  const { credential } = request
  let response: HttpResponse
  if (credential?.kind === 'identity-token') {
    response = await postToken(wire, request, credential.token)
    if (response.status === 404 || response.status === 405) {
      await discard(response)
      response = await getToken(wire, request)
    }
  } else {
    response = await getToken(wire, request)
  }
  if (response.status !== 200) throw await refusal(response, ATTEMPT)
  const body = await readBody(response, MAX_BODY)
  if (body === undefined) throw invalidAnswer(ATTEMPT, 'the answer is longer than 1 MiB')
  return parseToken(body, wire.clock.now())
}

/** The value of an `Authorization: Basic` header. */
export function basicAuthorization(username: string, password: string): string {
  return `Basic ${toBase64(utf8(`${username}:${password}`))}`
}

function getToken(wire: Wire, request: TokenRequest): Promise<HttpResponse> {
  const { credential } = request
  const url = new URL(request.realm)
  if (request.service !== undefined) url.searchParams.set('service', request.service)
  for (const scope of request.scopes) url.searchParams.append('scope', scope)
  const headers: Record<string, string> = { accept: 'application/json' }
  if (credential !== undefined) {
    const secret = credential.kind === 'password' ? credential.password : credential.token
    if (credential.username) {
      url.searchParams.set('account', credential.username)
      headers.authorization = basicAuthorization(credential.username, secret)
    }
  }
  const { redirected } = request
  return exchange(wire, { method: 'GET', url, headers, ...signalOf(request), redirected })
}

function postToken(wire: Wire, request: TokenRequest, token: string): Promise<HttpResponse> {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: CLIENT_ID,
    refresh_token: token,
    scope: request.scopes.join(' '),
  })
  if (request.service !== undefined) form.set('service', request.service)
  return exchange(wire, {
    method: 'POST',
    url: request.realm,
    headers: {
      accept: 'application/json',
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: utf8(form.toString()),
    ...signalOf(request),
    redirected: request.redirected,
  })
}

function parseToken(body: Uint8Array, now: number): Token {
  try {
    const found = object(parseJson(fromUtf8(body, 'token')), 'token')
    const value = string(found.token || found.access_token, 'token', { pattern: TOKEN })
    const life = nullable(found.expires_in, (seconds) => integer(seconds, 'expires_in')) ?? MIN_LIFE
    // `issued_at` is the server's clock, which may differ from ours; the moment of arrival
    // is never earlier, and an early refresh covers the way.
    const seconds = Math.min(Math.max(life, MIN_LIFE), 86_400)
    return { value, refreshAt: now + seconds * 800 }
  } catch {
    // The parser's message says nothing secret, but a token must not even come near one.
    throw invalidAnswer(ATTEMPT, 'the answer has no usable token')
  }
}

function signalOf(request: TokenRequest): { signal?: AbortSignal } {
  return request.signal === undefined ? {} : { signal: request.signal }
}
