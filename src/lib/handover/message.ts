import { FormatError, fromUtf8, Reader, utf8, Writer } from '#lib/bytes'
import { type EvidenceForm, MAX_EVIDENCE } from './form.ts'
import { X25519_LENGTH } from './x25519.ts'

/** Bytes of a launch id. */
export const LAUNCH_ID_LENGTH = 32
/** Bytes of a nonce. */
export const NONCE_LENGTH = 32
/** Bytes of a session tag: the first of T2. It routes a message and proves nothing. */
export const SESSION_LENGTH = 16

const PROOF_LENGTH = 32
/** Bytes of M1 beside the TARGETINFO: form, launch id, N_I, X_I and the length of TI_I. */
const HELLO_FIXED = 1 + LAUNCH_ID_LENGTH + NONCE_LENGTH + X25519_LENGTH + 4
const MAX_NAME = 256
const MAX_SEALED = 3 * 1024 * 1024
/** M1 and M5 of any form; each form has one length of M1. */
const MAX_HELLO = 1024
const MAX_CONFIRM = 1024

/** M1, from init. */
export interface Hello {
  readonly launchId: Uint8Array
  readonly nonce: Uint8Array
  readonly publicKey: Uint8Array
  readonly targetInfo: Uint8Array
}

/** B2, the agent's half of M2. */
export interface Offer {
  readonly nonce: Uint8Array
  readonly publicKey: Uint8Array
  readonly targetInfo: Uint8Array
  readonly podId: string
  readonly containerId: string
  /** `sha256:…` of the image's manifest. */
  readonly manifestDigest: string
  /** 32 bytes. */
  readonly initDataDigest: Uint8Array
}

/** A message as it travels: one type byte in front, then its parts. Lengths are exact, nothing follows. */
export type Message =
  | { readonly type: 1; readonly m1: Uint8Array }
  | { readonly type: 2; readonly b2: Uint8Array; readonly evidence: Uint8Array }
  | {
      readonly type: 3
      readonly session: Uint8Array
      readonly evidence: Uint8Array
      readonly proof: Uint8Array
    }
  | { readonly type: 4; readonly sealed: Uint8Array }
  | { readonly type: 5; readonly session: Uint8Array; readonly sealed: Uint8Array }

/** Encodes a message for the wire. */
export function encodeMessage(message: Message): Uint8Array<ArrayBuffer> {
  const w = new Writer().u8(message.type)
  switch (message.type) {
    case 1:
      return w.bytes(message.m1).finish()
    case 2:
      return w.lengthPrefixed(message.b2).lengthPrefixed(message.evidence).finish()
    case 3:
      return w.bytes(message.session).lengthPrefixed(message.evidence).bytes(message.proof).finish()
    case 4:
      return w.bytes(message.sealed).finish()
    case 5:
      return w.bytes(message.session).bytes(message.sealed).finish()
  }
}

/** Parses a message of the wire; byte fields are views. Throws FormatError. */
export function parseMessage(bytes: Uint8Array): Message {
  const r = new Reader(bytes)
  const type = r.u8('message type')
  const message = readMessage(r, type)
  r.end(`M${type}`)
  return message
}

function readMessage(r: Reader, type: number): Message {
  switch (type) {
    case 1:
      return { type, m1: rest(r, 'M1', MAX_HELLO) }
    case 2:
      return {
        type,
        b2: r.lengthPrefixed('B2', 4096),
        evidence: r.lengthPrefixed('E_A', MAX_EVIDENCE),
      }
    case 3:
      return {
        type,
        session: r.bytes(SESSION_LENGTH, 'session'),
        evidence: r.lengthPrefixed('E_I', MAX_EVIDENCE),
        proof: r.bytes(PROOF_LENGTH, 'F'),
      }
    case 4:
      return { type, sealed: rest(r, 'M4', MAX_SEALED) }
    case 5:
      return {
        type,
        session: r.bytes(SESSION_LENGTH, 'session'),
        sealed: rest(r, 'M5', MAX_CONFIRM),
      }
    default:
      throw new FormatError('FORMAT_INVALID', 'message type', 0, `is ${type}`)
  }
}

/** M1 = form ‖ launchId ‖ N_I ‖ X_I ‖ e(TI_I). */
export function encodeHello(form: EvidenceForm['code'], hello: Hello): Uint8Array<ArrayBuffer> {
  return new Writer()
    .u8(form)
    .bytes(hello.launchId)
    .bytes(hello.nonce)
    .bytes(hello.publicKey)
    .lengthPrefixed(hello.targetInfo)
    .finish()
}

/** Parses M1, which has one length; another form than ours is refused. */
export function parseHello(m1: Uint8Array, form: FormShape): Hello {
  const length = HELLO_FIXED + form.targetInfoSize
  if (m1.length !== length) {
    const found = `has ${m1.length} bytes, not ${length}`
    throw new FormatError('FORMAT_INVALID', 'M1', 0, found)
  }
  const r = new Reader(m1)
  if (r.u8('form') !== form.code) {
    throw new FormatError('FORMAT_INVALID', 'form', 0, 'is not the one of this enclave')
  }
  const hello = {
    launchId: r.bytes(LAUNCH_ID_LENGTH, 'launch id'),
    nonce: r.bytes(NONCE_LENGTH, 'N_I'),
    publicKey: r.bytes(X25519_LENGTH, 'X_I'),
    targetInfo: readTargetInfo(r, 'TI_I', form),
  }
  r.end('M1')
  return hello
}

/** B2 = N_A ‖ X_A ‖ e(TI_A) ‖ e(podId) ‖ e(containerId) ‖ e(manifestDigest) ‖ e(initDataDigest). */
export function encodeOffer(offer: Offer): Uint8Array<ArrayBuffer> {
  return new Writer()
    .bytes(offer.nonce)
    .bytes(offer.publicKey)
    .lengthPrefixed(offer.targetInfo)
    .lengthPrefixed(utf8(offer.podId))
    .lengthPrefixed(utf8(offer.containerId))
    .lengthPrefixed(utf8(offer.manifestDigest))
    .lengthPrefixed(offer.initDataDigest)
    .finish()
}

/** Parses B2. */
export function parseOffer(b2: Uint8Array, form: FormShape): Offer {
  const r = new Reader(b2)
  const text = (field: string) => fromUtf8(r.lengthPrefixed(field, MAX_NAME), field)
  const offer = {
    nonce: r.bytes(NONCE_LENGTH, 'N_A'),
    publicKey: r.bytes(X25519_LENGTH, 'X_A'),
    targetInfo: readTargetInfo(r, 'TI_A', form),
    podId: text('pod id'),
    containerId: text('container id'),
    manifestDigest: text('manifest digest'),
    initDataDigest: r.lengthPrefixed('init-data digest', 32),
  }
  r.end('B2')
  return offer
}

/** What of a form the layout of messages depends on. */
export type FormShape = Pick<EvidenceForm, 'code' | 'targetInfoSize'>

function readTargetInfo(r: Reader, field: string, { targetInfoSize }: FormShape): Uint8Array {
  const targetInfo = r.lengthPrefixed(field, targetInfoSize)
  if (targetInfo.length === targetInfoSize) return targetInfo
  const found = `has ${targetInfo.length} bytes, not ${targetInfoSize}`
  throw new FormatError('FORMAT_INVALID', field, r.offset, found)
}

function rest(r: Reader, field: string, max: number): Uint8Array {
  if (r.remaining > max) {
    throw new FormatError('FORMAT_LIMIT', field, r.offset, `is above ${max} bytes`)
  }
  return r.bytes(r.remaining, field)
}
