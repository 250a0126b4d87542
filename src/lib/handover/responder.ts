import { randomBytes } from 'node:crypto'
import { concat, copyOf, equalBytes, equalSecret, fromUtf8 } from '#lib/bytes'
import type { EvidenceForm, Self } from './form.ts'
import { HandoverError, refused } from './handover-error.ts'
import {
  type EndedLaunch,
  type Launch,
  type LaunchNames,
  type LaunchState,
  LaunchTable,
  unusable,
} from './launch-table.ts'
import {
  encodeMessage,
  encodeOffer,
  type Hello,
  LAUNCH_ID_LENGTH,
  type Message,
  NONCE_LENGTH,
  parseHello,
  parseMessage,
} from './message.ts'
import { encodePayload, type HandoverPayload } from './payload.ts'
import {
  checkEvidence,
  checkInit,
  checkInitTarget,
  checkSamePlatform,
  type InitPin,
} from './peer.ts'
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
import { keyPair, sharedSecret, X25519_LENGTH } from './x25519.ts'

/** A launch that the agent offers to one init. */
export interface LaunchOffer extends LaunchNames {
  readonly payload: HandoverPayload
}

/** Options of `createResponder`. */
export interface ResponderOptions {
  /** How this program proves itself; a constant of it. */
  readonly form: EvidenceForm
  readonly peer: InitPin
  /** SHA-256 of the init-data, 32 bytes. */
  readonly initDataDigest: Uint8Array
  /** Milliseconds of a clock that only moves forward. */
  readonly now: () => number
  /** Fresh random bytes; given by tests and vectors only. */
  readonly random?: (length: number) => Uint8Array
}

/** The agent's side of all its handovers. */
export interface Responder {
  /** Registers a launch and returns its id, 32 bytes. Keys are copied; the caller wipes its own. */
  offer(launch: LaunchOffer): Uint8Array
  /** M1 → M2, M3 → M4, M5 → empty. Throws HandoverError. */
  handle(message: Uint8Array): Promise<Uint8Array>
  /** State of a launch, after its clock was looked at. */
  state(launchId: Uint8Array): LaunchState | undefined
  /** Ends what is over time, and says what ended that way since the last call. */
  sweep(): readonly EndedLaunch[]
  /** Wipes everything. */
  close(): void
}

/** Time from offer to M3. */
const OFFER_MS = 60_000
/** Time from M4 to M5. */
const CONFIRM_MS = 30_000
/** Handovers between M1 and M3, over all launches: each costs a key pair and a report. */
const MAX_HALF_OPEN = 8

/** Creates the agent's side. */
export function createResponder(options: ResponderOptions): Responder {
  return new ResponderMachine(options)
}

class ResponderMachine implements Responder {
  readonly #options: ResponderOptions
  readonly #table = new LaunchTable()
  #opening = 0
  #ended: EndedLaunch[] = []
  #self: Promise<Self> | undefined

  constructor(options: ResponderOptions) {
    this.#options = options
  }

  offer({ payload, ...offer }: LaunchOffer): Uint8Array {
    const id = this.#random(LAUNCH_ID_LENGTH)
    const deadline = this.#options.now() + OFFER_MS
    this.#table.add(id, { offer, deadline, plain: encodePayload(id, payload) })
    return new Uint8Array(id)
  }

  async handle(bytes: Uint8Array): Promise<Uint8Array> {
    this.#expire()
    try {
      const message = parseMessage(bytes)
      if (message.type === 1) return await this.#onHello(message.m1)
      if (message.type === 3) return await this.#onProof(message)
      if (message.type === 5) return this.#onConfirm(message)
    } catch (cause) {
      throw cause instanceof HandoverError ? cause : refused('the message is not valid', cause)
    }
    throw new HandoverError('HANDOVER_STATE', 'taking a handover message: not for the agent')
  }

  state(launchId: Uint8Array): LaunchState | undefined {
    this.#expire()
    return this.#table.launch(launchId)?.state
  }

  sweep(): readonly EndedLaunch[] {
    this.#expire()
    const ended = this.#ended
    this.#ended = []
    return ended
  }

  close(): void {
    this.#table.clear()
  }

  async #onHello(m1: Uint8Array): Promise<Uint8Array> {
    // What costs nothing comes first: anybody on the node can send an M1.
    // Kept past this call, while the buffer of the frame is not ours.
    const bytes = copyOf(m1)
    const hello = parseHello(bytes, this.#options.form)
    const launch = this.#table.launch(hello.launchId)
    if (launch === undefined) {
      throw new HandoverError('HANDOVER_UNKNOWN', 'starting a handover: no such launch')
    }
    requireNew(launch)
    checkInitTarget(this.#options.form, hello.targetInfo, this.#options.peer)
    if (this.#opening + this.#table.halfOpen >= MAX_HALF_OPEN) {
      throw new HandoverError('HANDOVER_BUSY', 'starting a handover: too many are half open')
    }
    this.#opening++
    try {
      return await this.#open(launch, hello, transcript1(bytes))
    } finally {
      this.#opening--
    }
  }

  async #open(launch: Launch, hello: Hello, t1: Transcript): Promise<Uint8Array> {
    const { form, initDataDigest } = this.#options
    const secret = this.#random(X25519_LENGTH)
    const pair = keyPair(secret)
    secret.fill(0)
    // A key of small order would end the handover at M3, after all that is expensive.
    sharedSecret(pair.privateKey, hello.publicKey).fill(0)
    const self = await this.#ownSelf()
    const b2 = encodeOffer({
      nonce: this.#random(NONCE_LENGTH),
      publicKey: pair.publicKey,
      targetInfo: self.targetInfo,
      ...launch.offer,
      initDataDigest,
    })
    const ownData = agentReportData(t1, b2)
    const evidence = await form.make(hello.targetInfo, ownData)
    requireNew(launch)
    const t2 = transcript2(t1, b2, evidence)
    this.#table.open(launch, t2, { hello, pair, own: evidence, ownData })
    return encodeMessage({ type: 2, b2, evidence })
  }

  async #onProof(message: Message & { type: 3 }): Promise<Uint8Array> {
    const { launch, t2, open } = this.#table.session(message.session)
    const evidence = new Uint8Array(message.evidence)
    const proof = new Uint8Array(message.proof)
    const t3 = transcript3(t2, evidence, proof)
    if (open === undefined) return resend(launch, t3)
    const { hello, pair, own, ownData } = open
    const { form, peer } = this.#options
    const self = await this.#ownSelf()
    const init = await checkEvidence(form, self, evidence, hello.targetInfo, initReportData(t2))
    checkInit(init.body, peer)
    await checkSamePlatform(form, self, own, ownData, init)
    const prk = extract(t2, sharedSecret(pair.privateKey, hello.publicKey))
    try {
      if (!equalSecret(proofOf(prk, t2, evidence), proof)) throw refused('F is wrong')
      // From here to the return nothing waits: two proofs cannot both find the launch NEW.
      this.#expire()
      return launch.state === 'NEW' ? this.#spend(launch, prk, t3) : resend(launch, t3)
    } finally {
      prk.fill(0)
    }
  }

  #spend(launch: Launch, prk: Uint8Array, t3: Transcript): Uint8Array {
    const plain = this.#table.spend(launch, this.#options.now() + CONFIRM_MS)
    const key = directionKey(prk, 'A>I', t3)
    try {
      const m4 = seal(key, t3, 4, plain)
      const message = encodeMessage({ type: 4, sealed: m4 })
      const receive = directionKey(prk, 'I>A', t3)
      launch.answer = { t3, message, confirmed: transcript4(t3, m4), receive }
      return copyOf(message)
    } finally {
      key.fill(0)
      plain.fill(0)
    }
  }

  #onConfirm(message: Message & { type: 5 }): Uint8Array {
    const { launch } = this.#table.session(message.session)
    if (launch.state !== 'SPENT' || launch.answer === undefined) throw unusable(launch.state)
    const { confirmed, receive } = launch.answer
    if (fromUtf8(open(receive, confirmed, 5, message.sealed), 'M5') !== 'ok') {
      throw refused('M5 does not say ok')
    }
    this.#table.end(launch, 'SERVED')
    return new Uint8Array(0)
  }

  #expire(): void {
    this.#ended.push(...this.#table.expire(this.#options.now()))
  }

  async #ownSelf(): Promise<Self> {
    const self = this.#self ?? this.#readOwnSelf()
    this.#self = self
    try {
      return await self
    } catch (cause) {
      // Collateral that was late is no reason to refuse for ever.
      if (this.#self === self) this.#self = undefined
      throw cause
    }
  }

  async #readOwnSelf(): Promise<Self> {
    const self = await this.#options.form.self()
    const expected = concat(this.#options.initDataDigest, new Uint8Array(32))
    if (!equalBytes(self.body.configId, expected)) {
      throw refused('the init-data are not those of this enclave')
    }
    return self
  }

  #random(length: number): Uint8Array {
    const { random = randomBytes } = this.#options
    return random(length)
  }
}

function requireNew(launch: Launch): void {
  if (launch.state !== 'NEW') throw unusable(launch.state)
}

function resend(launch: Launch, t3: Transcript): Uint8Array {
  const { answer } = launch
  if (answer === undefined || !equalBytes(answer.t3, t3)) throw unusable(launch.state)
  return copyOf(answer.message)
}
