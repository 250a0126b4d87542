import { CodedError } from '#lib/errors'

/** Codes of image signatures and their policy. */
export type SigningCode =
  | 'IMAGE_POLICY_INVALID'
  | 'IMAGE_POLICY_REJECTS'
  | 'IMAGE_POLICY_REQUIREMENT_UNSUPPORTED'
  | 'IMAGE_POLICY_KEY_UNAVAILABLE'
  | 'SIGNATURE_MISSING'
  | 'SIGNATURE_INVALID'
  | 'SIGNATURE_PAYLOAD_INVALID'
  | 'SIGNATURE_DIGEST_MISMATCH'
  | 'SIGNATURE_IDENTITY_MISMATCH'
  | 'SIGNATURE_LIMIT'
  | 'KEY_INVALID'
  | 'KEY_PASSPHRASE'
  | 'KEY_TYPE_UNSUPPORTED'

/** A policy, key or signature cannot be read, or an image cannot be signed. */
export class SigningError extends CodedError<SigningCode> {}
