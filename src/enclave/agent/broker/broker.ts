import type { Tee } from '#lib/attest'
import { utf8 } from '#lib/bytes'
import { formatResourceUri, type ResourceName } from '#lib/initdata'
import { type JsonObject, object, string } from '#lib/json'
import { DECISION_PROOF_HEADER, parseResourceResponse } from '#protocol/kbs'
import type { EnclaveClock } from '../../handover/enclave-clock.ts'
import { attest, type Token } from './attestation.ts'
import { BrokerError } from './broker-error.ts'
import {
  answerJson,
  type BrokerAnswer,
  type BrokerRequest,
  type BrokerWire,
  exchange,
} from './exchange.ts'
import { createSessionKey, type SessionKey } from './session-key.ts'

/** Options of the calls. */
export interface BrokerCallOptions {
  readonly signal?: AbortSignal
}

/** The owner's key broker, as the agent uses it. Everything throws BrokerError or HttpError. */
export interface Broker {
  /** A valid token; attests if there is none. */
  token(options?: BrokerCallOptions): Promise<Token>
  /** A resource's bytes. The caller wipes them where they are secret. Throws RESOURCE_NOT_FOUND. */
  resource(name: ResourceName, options?: BrokerCallOptions): Promise<Uint8Array>
  /** As `resource`, but undefined where the broker has none of that name. */
  findResource(name: ResourceName, options?: BrokerCallOptions): Promise<Uint8Array | undefined>
  /** Puts a launch decision into the owner's log and returns its id; undefined from a broker without such a log. */
  reportDecision(report: JsonObject, options?: BrokerCallOptions): Promise<string | undefined>
}

/** Options of `createBroker`. */
export interface BrokerOptions {
  readonly wire: BrokerWire
  readonly tee: Tee
  /** The init-data document, as text of its exact bytes. */
  readonly initData: string
  readonly clock: EnclaveClock
}

/** Share of a token's life after which it is replaced before its use. */
const REFRESH_AT = 0.8
const MAX_RESOURCE = 8 * 1024 * 1024

/**
 * A client with one key and one token for the life of the process. Handshakes are shared by whoever
 * waits for one. It attests again only where the broker says that the token is missing or no longer
 * good: every other refusal is final (CoCo's KBS protocol).
 */
export function createBroker(options: BrokerOptions): Broker {
  return new BrokerClient(options)
}

interface Held {
  readonly token: Token
  readonly since: number
}

interface AuthorizedRequest extends BrokerRequest {
  /** The broker wants proof that the document comes from the enclave of the token. */
  readonly proven?: boolean
}

class BrokerClient implements Broker {
  readonly #options: BrokerOptions
  readonly #key: SessionKey
  #held: Held | undefined
  #handshake: Promise<Held> | undefined

  constructor(options: BrokerOptions) {
    this.#options = options
    this.#key = createSessionKey()
  }

  async token(options: BrokerCallOptions = {}): Promise<Token> {
    options.signal?.throwIfAborted()
    return (await this.#valid()).token
  }

  async resource(name: ResourceName, options: BrokerCallOptions = {}): Promise<Uint8Array> {
    const attempt = `reading ${formatResourceUri(name)}`
    const { body } = await this.#authorized({
      method: 'GET',
      path: `resource/${name.namespace}/${name.type}/${name.tag}`,
      attempt,
      max: MAX_RESOURCE,
      signal: options.signal,
    })
    return await this.#key.open(answerJson(attempt, body, parseResourceResponse))
  }

  async findResource(
    name: ResourceName,
    options: BrokerCallOptions = {},
  ): Promise<Uint8Array | undefined> {
    try {
      return await this.resource(name, options)
    } catch (error) {
      if (error instanceof BrokerError && error.code === 'RESOURCE_NOT_FOUND') return undefined
      throw error
    }
  }

  async reportDecision(
    report: JsonObject,
    options: BrokerCallOptions = {},
  ): Promise<string | undefined> {
    const attempt = 'reporting a decision'
    try {
      const { body } = await this.#authorized({
        method: 'POST',
        path: 'enclave-cc/decisions',
        attempt,
        document: utf8(JSON.stringify(report)),
        proven: true,
        signal: options.signal,
      })
      return answerJson(attempt, body, (json) =>
        string(object(json, 'answer').id, 'answer.id', { max: 128 }),
      )
    } catch (error) {
      // Other brokers have no such route; their owners see the releases only.
      if (error instanceof BrokerError && error.status === 404) return undefined
      throw error
    }
  }

  async #authorized(request: AuthorizedRequest): Promise<BrokerAnswer> {
    const held = await this.#valid()
    try {
      return await this.#send(request, held)
    } catch (error) {
      if (!(error instanceof BrokerError) || !error.wantsAttestation) throw error
      // Another call may have replaced the token meanwhile; then that one is tried.
      if (this.#held === held) this.#held = undefined
      return await this.#send(request, await this.#valid())
    }
  }

  #send(request: AuthorizedRequest, held: Held): Promise<BrokerAnswer> {
    const { jwt } = held.token
    const { document, proven = false } = request
    const headers = {
      ...request.headers,
      authorization: `Bearer ${jwt}`,
      ...(proven && document !== undefined
        ? { [DECISION_PROOF_HEADER]: this.#key.prove(jwt, document) }
        : {}),
    }
    return exchange(this.#options.wire, { ...request, headers })
  }

  async #valid(): Promise<Held> {
    const held = this.#held
    if (held !== undefined) {
      const life = (held.token.expiresAt - held.token.issuedAt) * 1000
      if (this.#options.clock.progress() - held.since < life * REFRESH_AT) return held
    }
    this.#handshake ??= this.#attest().finally(() => {
      this.#handshake = undefined
    })
    return await this.#handshake
  }

  async #attest(): Promise<Held> {
    const { wire, tee, initData, clock } = this.#options
    // The life of a token is counted from before it was asked for: the host may delay the answer.
    const since = clock.progress()
    const token = await attest({ wire, tee, key: this.#key, initData })
    clock.observe(token.issuedAt)
    this.#held = { token, since }
    return this.#held
  }
}
