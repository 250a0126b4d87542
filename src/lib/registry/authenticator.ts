import { type HttpResponse, headers } from '#lib/http'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Credential } from './credential.ts'
import type { Wire } from './exchange.ts'
import { RegistryError } from './registry-error.ts'
import { basicAuthorization, fetchToken, type Token } from './token.ts'

/** What an `Authenticator` may do. */
export interface AuthenticatorOptions {
  readonly wire: Wire
  /** Origin of the registry; nothing is ever sent elsewhere but to the realm. */
  readonly origin: string
  readonly credential: Credential | undefined
  /** May a token server be used? Default: any under https. */
  readonly allowRealm: ((realm: URL) => boolean) | undefined
}

type Scheme =
  | { readonly kind: 'none' }
  | { readonly kind: 'basic'; readonly authorization: string }
  | { readonly kind: 'bearer'; readonly realm: URL; readonly service: string | undefined }

/** Holds what is known of a registry's authentication, and its tokens by scope. */
export class Authenticator {
  readonly #options: AuthenticatorOptions
  // Promises, so that requests side by side ask for one token, not for one each.
  readonly #tokens = new Map<string, Promise<Token>>()
  #scheme: Scheme = { kind: 'none' }

  constructor(options: AuthenticatorOptions) {
    this.#options = options
  }

  /** The `Authorization` for a request to the registry; undefined before any challenge. */
  async authorization(
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<string | undefined> {
    const scheme = this.#scheme
    if (scheme.kind === 'none') return undefined
    if (scheme.kind === 'basic') return scheme.authorization
    const key = scopes.join(' ')
    const held = this.#tokens.get(key)
    const known = held === undefined ? undefined : await held
    if (known !== undefined && this.#options.wire.clock.now() < known.refreshAt) {
      return `Bearer ${known.value}`
    }
    // While we waited another request may have begun to replace what is too old.
    const newer = this.#tokens.get(key)
    const asked = newer !== undefined && newer !== held ? newer : this.#ask(scheme, scopes, signal)
    this.#tokens.set(key, asked)
    try {
      return `Bearer ${(await asked).value}`
    } catch (error) {
      if (this.#tokens.get(key) === asked) this.#tokens.delete(key)
      throw error
    }
  }

  #ask(
    scheme: Extract<Scheme, { kind: 'bearer' }>,
    scopes: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<Token> {
    return fetchToken(this.#options.wire, {
      realm: scheme.realm,
      service: scheme.service,
      scopes,
      credential: this.#options.credential,
      redirected:
        this.#options.allowRealm === undefined && scheme.realm.origin !== this.#options.origin,
      ...(signal === undefined ? {} : { signal }),
    })
  }

  /**
   * Learns from a 401 that the registry gave to a request with this `Authorization`. Returns the
   * scopes with which to try again, or undefined if nothing better can be sent. Throws
   * `REGISTRY_REALM_REFUSED`.
   */
  async learn(
    response: HttpResponse,
    scopes: readonly string[],
    sent: string | undefined,
  ): Promise<readonly string[] | undefined> {
    const challenges = parseChallenges(headers(response, 'www-authenticate'))
    const bearer = challenges.find((challenge) => challenge.scheme === 'bearer')
    if (bearer !== undefined) return this.#learnBearer(bearer, scopes, sent)
    const basic = challenges.some((challenge) => challenge.scheme === 'basic')
    const { credential } = this.#options
    if (!basic || credential?.kind !== 'password') return undefined
    const authorization = basicAuthorization(credential.username, credential.password)
    this.#scheme = { kind: 'basic', authorization }
    return sent === authorization ? undefined : scopes
  }

  async #learnBearer(
    challenge: Challenge,
    scopes: readonly string[],
    sent: string | undefined,
  ): Promise<readonly string[] | undefined> {
    const realm = this.#checkRealm(challenge.parameters.get('realm'))
    this.#scheme = { kind: 'bearer', realm, service: challenge.parameters.get('service') }
    if (sent === undefined) return scopes
    const key = scopes.join(' ')
    const current = await this.#tokens.get(key)
    // Another request may have got a new token while this one was under way.
    if (current === undefined || sent !== `Bearer ${current.value}`) return scopes
    this.#tokens.delete(key)
    // The token was not enough. Its server may have been asked for too little.
    const wider = challenge.parameters.get('scope')
    const insufficient = challenge.parameters.get('error') === 'insufficient_scope'
    if (!insufficient || wider === undefined || !/^[\x21-\x7e]{1,1024}$/.test(wider)) return scopes
    return [wider]
  }

  // CVE-2019-10214: a realm in the clear would be handed the password by anyone on the way.
  #checkRealm(text: string | undefined): URL {
    const { origin, allowRealm } = this.#options
    const realm = text === undefined ? null : URL.parse(text)
    const found =
      realm === null
        ? 'no usable realm'
        : realm.username !== '' || realm.password !== ''
          ? 'a realm with a user name'
          : realm.protocol === 'https:' ||
              (realm.protocol === 'http:' && origin.startsWith('http:'))
            ? undefined
            : `a realm under ${realm.protocol.slice(0, 32)}`
    if (realm === null || found !== undefined) {
      throw new RegistryError(
        'REGISTRY_REALM_REFUSED',
        `authenticating to ${new URL(origin).host}: the registry names ${found}`,
      )
    }
    if (allowRealm !== undefined && !allowRealm(realm)) {
      throw new RegistryError(
        'REGISTRY_REALM_REFUSED',
        `authenticating to ${new URL(origin).host}: the token server ${realm.host} is not allowed`,
      )
    }
    return realm
  }
}
