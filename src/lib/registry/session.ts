import { discard, type HttpMethod, type HttpResponse, header } from '#lib/http'
import { Authenticator } from './authenticator.ts'
import type { Credential } from './credential.ts'
import { exchange, type Wire } from './exchange.ts'
import { MAX_REDIRECTS, resolveLocation } from './location.ts'
import { RegistryError } from './registry-error.ts'

/** A request to a registry, before authentication and redirects. */
export interface SessionRequest {
  readonly method: HttpMethod
  /** Absolute, or relative to the registry's root: `/v2/…`. */
  readonly url: URL | string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | AsyncIterable<Uint8Array>
  /** `repository:NAME:pull[,push]`, one or more. */
  readonly scopes: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** An answer and the URL that gave it, after redirects. */
export interface SessionAnswer {
  readonly response: HttpResponse
  readonly url: URL
}

/** What a session needs. */
export interface SessionOptions {
  readonly wire: Wire
  /** `https://host[:port]`. */
  readonly origin: string
  readonly credential: Credential | undefined
  readonly allowRealm: ((realm: URL) => boolean) | undefined
}

const REDIRECTS = new Set([301, 302, 303, 307, 308])
const MAX_CHALLENGES = 2

/**
 * Sends requests to one registry: adds its `Authorization`, answers its challenges, repeats
 * and redirects. `Authorization` goes to the registry's own origin and to no other: object
 * stores must not see it (and S3 fails if it does).
 */
export class Session {
  readonly origin: string
  readonly #wire: Wire
  readonly #authenticator: Authenticator

  constructor(options: SessionOptions) {
    this.origin = options.origin
    this.#wire = options.wire
    this.#authenticator = new Authenticator(options)
  }

  /** The answer of the last hop, with any status but a redirect's or an answerable 401. */
  async send(request: SessionRequest): Promise<SessionAnswer> {
    const repeatable = request.body === undefined || request.body instanceof Uint8Array
    let url = new URL(request.url, this.origin)
    let scopes = request.scopes
    let challenges = 0
    let redirects = 0
    for (;;) {
      const own = url.origin === this.origin
      const authorization = own
        ? await this.#authenticator.authorization(scopes, request.signal)
        : undefined
      const response = await this.#hop(request, url, authorization, !own)
      if (response.status === 401 && own && challenges < MAX_CHALLENGES) {
        const next = repeatable
          ? await this.#authenticator.learn(response, scopes, authorization)
          : undefined
        if (next === undefined) return { response, url }
        await discard(response)
        scopes = next
        challenges++
        continue
      }
      if (!REDIRECTS.has(response.status)) return { response, url }
      await discard(response)
      url = this.#redirect(request, response, url)
      if (++redirects > MAX_REDIRECTS) {
        throw new RegistryError(
          'REGISTRY_REDIRECT_REFUSED',
          `following an answer of ${url.host}: there were more than ${MAX_REDIRECTS} redirects`,
        )
      }
    }
  }

  async #hop(
    request: SessionRequest,
    url: URL,
    authorization: string | undefined,
    redirected: boolean,
  ): Promise<HttpResponse> {
    return exchange(this.#wire, {
      method: request.method,
      url,
      headers: {
        'accept-encoding': 'identity',
        'user-agent': 'enclave-cc',
        ...request.headers,
        ...(authorization === undefined ? {} : { authorization }),
      },
      ...(request.body === undefined ? {} : { body: request.body }),
      ...(request.signal === undefined ? {} : { signal: request.signal }),
      // Redirects and upload Locations alike: another origin is the server's choice, not ours.
      redirected,
    })
  }

  #redirect(request: SessionRequest, response: HttpResponse, url: URL): URL {
    const reading = request.method === 'GET' || request.method === 'HEAD'
    // 301 to 303 turn a write into a GET in most clients: what was written would be lost.
    const keeps = response.status === 307 || response.status === 308
    const repeatable = request.body === undefined || request.body instanceof Uint8Array
    if (!reading && !(keeps && repeatable)) {
      throw new RegistryError(
        'REGISTRY_REDIRECT_REFUSED',
        `sending to ${url.host}: the registry redirects a ${request.method} with ${response.status}`,
      )
    }
    return resolveLocation(url, header(response, 'location'))
  }
}
