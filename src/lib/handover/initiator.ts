import { randomBytes } from 'node:crypto'
import { concat, equalBytes, utf8 } from '#lib/bytes'
import type { EvidenceForm, Self } from './form.ts'
import { HandoverError, refused } from './handover-error.ts'
import {
  encodeHello,
  encodeMessage,
  LAUNCH_ID_LENGTH,
  type Message,
  NONCE_LENGTH,
  type Offer,
  parseMessage,
  parseOffer,
  SESSION_LENGTH,
} from './message.ts'
import { type HandoverPayload, parsePayload, wipePayload } from './payload.ts'
import { type AgentPin, checkAgent, checkEvidence, checkSamePlatform } from './peer.ts'
import {
  agentReportData,
  directionKey,
  extract,
  initReportData,
  open,
  proofOf,
  seal,
  type Transcript,
  transcript1,
  transcript2,
  transcript3,
  transcript4,
} from './transcript.ts'
import { type KeyPair, keyPair, sharedSecret, X25519_LENGTH } from './x25519.ts'

/** Options of `createInitiator`. */
export interface InitiatorOptions {
  /** How this program proves itself; a constant of it. */
  readonly form: EvidenceForm
  /** 32 bytes from the host; worth nothing to anyone but the init that its agent expects. */
  readonly launchId: Uint8Array
  readonly peer: AgentPin
  /** Fresh random bytes; given by tests and vectors only. */
  readonly random?: (length: number) => Uint8Array
}

/** What init has when the handover is complete. */
export interface HandoverResult extends HandoverPayload {
  readonly podId: string
  readonly containerId: string
  /** `sha256:…` of the image's manifest. */
  readonly manifestDigest: string
}

/** Init's side of one handover. Any failure ends it for good: a retry is a new init. */
export interface Initiator {
  /** M1. */
  begin(): Promise<Uint8Array>
  /** M2 → M3, M4 → M5. Throws HandoverError; anything that does not verify is HANDOVER_REFUSED. */
  handle(message: Uint8Array): Promise<Uint8Array>
  /** Keys and configuration, once M4 was opened. */
  readonly result: HandoverResult | undefined
  /** Overwrites the keys that it holds, in `result` too: for a handover whose container is not started. */
  close(): void
}

interface AfterHello {
  readonly self: Self
  readonly pair: KeyPair
  readonly t1: Transcript
}
interface AfterOffer {
  readonly offer: Offer
  readonly session: Uint8Array
  readonly t3: Transcript
  readonly receive: Uint8Array
  readonly send: Uint8Array
}

type State =
  | { readonly at: 'new' | 'busy' | 'done' | 'failed' }
  | ({ readonly at: 'hello' } & AfterHello)
  | ({ readonly at: 'offer' } & AfterOffer)

/** Creates init's side. RangeError if `launchId` is not 32 bytes. */
export function createInitiator(options: InitiatorOptions): Initiator {
  if (options.launchId.length !== LAUNCH_ID_LENGTH) throw new RangeError('launchId needs 32 bytes')
  return new InitiatorMachine(options)
}

class InitiatorMachine implements Initiator {
  readonly #options: InitiatorOptions
  #state: State = { at: 'new' }
  #result: HandoverResult | undefined

  constructor(options: InitiatorOptions) {
    this.#options = options
  }

  get result(): HandoverResult | undefined {
    return this.#result
  }

  close(): void {
    const state = this.#state
    if (state.at === 'offer') wipeOffer(state)
    if (this.#result !== undefined) wipePayload(this.#result)
    this.#state = { at: 'failed' }
  }

  async begin(): Promise<Uint8Array> {
    if (this.#state.at !== 'new') throw outOfOrder()
    return this.#step(async () => {
      const { form, launchId, random = randomBytes } = this.#options
      const self = await form.self()
      const nonce = random(NONCE_LENGTH)
      const secret = random(X25519_LENGTH)
      const pair = keyPair(secret)
      secret.fill(0)
      const { publicKey } = pair
      const hello = { launchId, nonce, publicKey, targetInfo: self.targetInfo }
      const m1 = encodeHello(form.code, hello)
      this.#advance({ at: 'hello', self, pair, t1: transcript1(m1) })
      return encodeMessage({ type: 1, m1 })
    })
  }

  async handle(bytes: Uint8Array): Promise<Uint8Array> {
    const state = this.#state
    return this.#step(async () => {
      const message = parse(bytes)
      if (state.at === 'hello' && message.type === 2) return this.#onOffer(state, message)
      if (state.at === 'offer' && message.type === 4) return this.#onKeys(state, message.sealed)
      throw outOfOrder()
    })
  }

  async #onOffer(
    { self, pair, t1 }: AfterHello,
    { b2, evidence }: Message & { type: 2 },
  ): Promise<Uint8Array> {
    const { form, peer } = this.#options
    const offer = parseOffer(new Uint8Array(b2), form)
    const reportData = agentReportData(t1, b2)
    const agent = await checkEvidence(form, self, evidence, offer.targetInfo, reportData)
    checkAgent(agent.body, peer)
    if (!equalBytes(concat(offer.initDataDigest, new Uint8Array(32)), self.body.configId)) {
      throw refused('the offer names other init-data')
    }
    const t2 = transcript2(t1, b2, evidence)
    const ownData = initReportData(t2)
    const own = await form.make(offer.targetInfo, ownData)
    await checkSamePlatform(form, self, own, ownData, agent)
    const prk = extract(t2, sharedSecret(pair.privateKey, offer.publicKey))
    const proof = proofOf(prk, t2, own)
    const t3 = transcript3(t2, own, proof)
    const session = t2.slice(0, SESSION_LENGTH)
    const receive = directionKey(prk, 'A>I', t3)
    const send = directionKey(prk, 'I>A', t3)
    prk.fill(0)
    this.#advance({ at: 'offer', offer, session, t3, receive, send })
    return encodeMessage({ type: 3, session, evidence: own, proof })
  }

  async #onKeys(state: AfterOffer, m4: Uint8Array): Promise<Uint8Array> {
    const { offer, session, t3, receive, send } = state
    const plain = open(receive, t3, 4, m4)
    try {
      const { launchId, ...payload } = parsePayload(plain)
      if (!equalBytes(launchId, this.#options.launchId)) throw refused('M4 is of another launch')
      const { podId, containerId, manifestDigest } = offer
      this.#result = { ...payload, podId, containerId, manifestDigest }
      const sealed = seal(send, transcript4(t3, m4), 5, utf8('ok'))
      this.#state = { at: 'done' }
      return encodeMessage({ type: 5, session, sealed })
    } finally {
      plain.fill(0)
      receive.fill(0)
      send.fill(0)
    }
  }

  /** The next state, unless this was closed or failed while the step waited. */
  #advance(state: State): void {
    if (this.#state.at === 'busy') {
      this.#state = state
      return
    }
    if (state.at === 'offer') wipeOffer(state)
    throw outOfOrder()
  }

  /** One message at a time; whatever goes wrong, this init can never be used again. */
  async #step(run: () => Promise<Uint8Array>): Promise<Uint8Array> {
    const before = this.#state
    this.#state = { at: 'busy' }
    try {
      return await run()
    } catch (cause) {
      if (before.at === 'offer') wipeOffer(before)
      this.close()
      throw cause instanceof HandoverError ? cause : refused('the message is not valid', cause)
    }
  }
}

function wipeOffer({ receive, send }: AfterOffer): void {
  receive.fill(0)
  send.fill(0)
}

function parse(bytes: Uint8Array): Message {
  try {
    return parseMessage(bytes)
  } catch (cause) {
    throw refused('the message does not parse', cause)
  }
}

function outOfOrder(): HandoverError {
  return new HandoverError('HANDOVER_STATE', 'taking a handover message: not expected now')
}
