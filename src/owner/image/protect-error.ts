import { CodedError, type GeneralCode } from '#lib/errors'

/** Codes of the commands that make keys, encrypt and sign. */
export type ProtectCode =
  | GeneralCode
  | 'IMAGE_NOT_ENCRYPTED'
  | 'OUTPUT_UNVERIFIED'
  | 'SCHEME_UNSUPPORTED'
  | 'SIGNATURE_MISSING'
  | 'KEY_PASSPHRASE'
  | 'KEK_INVALID'

/** A command of image protection cannot do what it was asked. */
export class ProtectError extends CodedError<ProtectCode> {}
