import { type KeyObject, sign, verify } from 'node:crypto'
import { fromBase64Url, toBase64Url, utf8, Writer } from '#lib/bytes'
import { type TeeKey, teePublicKey } from './tee-key.ts'

// Attack: an enclave's token is a bearer token, and its host gets to see it (`enclave-cc attest`
// prints it). Resources are safe, being encrypted to the enclave's key; a report of a decision is not
// secret, so a host with the token could write launches into the owner's log that never happened.
// A report therefore proves that its sender has the key that the token was issued to.

/** Header of a decision report: the proof, URL base64 of 64 bytes. */
export const DECISION_PROOF_HEADER = 'enclave-cc-proof'

const DOMAIN = utf8('enclave-cc/decision-report/1')
const PROOF_LENGTH = 64

/** The proof for the exact bytes of a report under a token: ES256 with the TEE key (P-256). */
export function proveDecision(teeKey: KeyObject, token: string, report: Uint8Array): string {
  const key = { key: teeKey, dsaEncoding: 'ieee-p1363' } as const
  return toBase64Url(sign('sha256', bound(token, report), key))
}

/**
 * True if the holder of `teeKey` made this report under this token. False for a proof of any other
 * form, and for keys that cannot sign ES256 (P-521, RSA).
 */
export function decisionProven(
  teeKey: TeeKey,
  token: string,
  report: Uint8Array,
  proof: string | undefined,
): boolean {
  if (proof === undefined || teeKey.kty !== 'EC' || teeKey.crv !== 'P-256') return false
  try {
    const key = { key: teePublicKey(teeKey), dsaEncoding: 'ieee-p1363' } as const
    const signature = fromBase64Url(proof, DECISION_PROOF_HEADER, PROOF_LENGTH)
    return verify('sha256', bound(token, report), key, signature)
  } catch {
    return false
  }
}

/** e(domain) ‖ e(token) ‖ e(report): no other use of the key signs anything of this form. */
function bound(token: string, report: Uint8Array): Uint8Array {
  const w = new Writer().lengthPrefixed(DOMAIN).lengthPrefixed(utf8(token))
  return w.lengthPrefixed(report).finish()
}
