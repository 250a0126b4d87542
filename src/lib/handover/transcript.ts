import { createCipheriv, createDecipheriv, createHash, createHmac } from 'node:crypto'
import { concat, utf8, Writer } from '#lib/bytes'

/** Domain of every hash and key of this version. */
const LABEL = utf8('enclave-cc/handover/1')
const TAG_LENGTH = 16
/** Each direction's key seals one frame under nonce 0; later frames count from 1. */
const NONCE_ZERO = new Uint8Array(12)

/** Hash over the transcript as far as both sides have it, 32 bytes each. */
export type Transcript = Uint8Array

/** T1 = H(e(L) ‖ e(M1)). */
export function transcript1(m1: Uint8Array): Transcript {
  return sha256(new Writer().lengthPrefixed(LABEL).lengthPrefixed(m1).finish())
}

/** T2 = H(T1 ‖ e(B2) ‖ e(E_A)). */
export function transcript2(t1: Transcript, b2: Uint8Array, evidence: Uint8Array): Transcript {
  return sha256(new Writer().bytes(t1).lengthPrefixed(b2).lengthPrefixed(evidence).finish())
}

/** T3 = H(T2 ‖ e(E_I) ‖ e(F)). */
export function transcript3(t2: Transcript, evidence: Uint8Array, proof: Uint8Array): Transcript {
  return sha256(new Writer().bytes(t2).lengthPrefixed(evidence).lengthPrefixed(proof).finish())
}

/** H(T3 ‖ e(M4)), which M5 confirms. */
export function transcript4(t3: Transcript, m4: Uint8Array): Transcript {
  return sha256(new Writer().bytes(t3).lengthPrefixed(m4).finish())
}

/** Report data of the agent: SHA512(e(L) ‖ e("agent") ‖ T1 ‖ e(B2)), 64 bytes. */
export function agentReportData(t1: Transcript, b2: Uint8Array): Uint8Array {
  const bound = new Writer().lengthPrefixed(LABEL).lengthPrefixed(utf8('agent')).bytes(t1)
  return sha512(bound.lengthPrefixed(b2).finish())
}

/** Report data of init: SHA512(e(L) ‖ e("init") ‖ T2), 64 bytes. */
export function initReportData(t2: Transcript): Uint8Array {
  return sha512(new Writer().lengthPrefixed(LABEL).lengthPrefixed(utf8('init')).bytes(t2).finish())
}

/** PRK = HKDF-Extract(salt = T2, shared secret). The secret is wiped. */
export function extract(t2: Transcript, secret: Uint8Array): Uint8Array {
  try {
    return hmac(t2, secret)
  } finally {
    secret.fill(0)
  }
}

/** F = HMAC(kc, T2 ‖ e(E_I)): only who computed the shared secret can make it. */
export function proofOf(prk: Uint8Array, t2: Transcript, evidence: Uint8Array): Uint8Array {
  const key = expand(prk, 'confirm')
  try {
    return hmac(key, new Writer().bytes(t2).lengthPrefixed(evidence).finish())
  } finally {
    key.fill(0)
  }
}

/** Key of one direction, after T3. */
export function directionKey(
  prk: Uint8Array,
  direction: 'A>I' | 'I>A',
  t3: Transcript,
): Uint8Array {
  return expand(prk, direction, t3)
}

/** The single frame that a direction's key seals under nonce 0. AAD = transcript ‖ message number. */
export function seal(
  key: Uint8Array,
  transcript: Transcript,
  message: 4 | 5,
  plain: Uint8Array,
): Uint8Array {
  const cipher = createCipheriv('aes-256-gcm', key, NONCE_ZERO, { authTagLength: TAG_LENGTH })
  cipher.setAAD(concat(transcript, Uint8Array.of(message)))
  return concat(cipher.update(plain), cipher.final(), cipher.getAuthTag())
}

/** Opens what `seal` made; throws if anything differs. The result is the caller's to wipe. */
export function open(
  key: Uint8Array,
  transcript: Transcript,
  message: 4 | 5,
  sealed: Uint8Array,
): Uint8Array {
  if (sealed.length < TAG_LENGTH) throw new Error('a sealed message is shorter than its tag')
  const decipher = createDecipheriv('aes-256-gcm', key, NONCE_ZERO, { authTagLength: TAG_LENGTH })
  decipher.setAAD(concat(transcript, Uint8Array.of(message)))
  decipher.setAuthTag(sealed.subarray(-TAG_LENGTH))
  const plain: Uint8Array = decipher.update(sealed.subarray(0, -TAG_LENGTH))
  try {
    // GCM gives everything out in `update`; `final` only says whether it may be used.
    decipher.final()
    return plain
  } catch (cause) {
    plain.fill(0)
    throw cause
  }
}

/** HKDF-Expand of one block: L = 32 = one HMAC-SHA256. info = e(L) ‖ e(label) ‖ context. */
function expand(
  prk: Uint8Array,
  label: string,
  context: Uint8Array = new Uint8Array(0),
): Uint8Array {
  const info = new Writer().lengthPrefixed(LABEL).lengthPrefixed(utf8(label)).bytes(context)
  return hmac(prk, info.u8(1).finish())
}

function sha256(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}

function sha512(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash('sha512').update(bytes).digest())
}

function hmac(key: Uint8Array, bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHmac('sha256', key).update(bytes).digest())
}
