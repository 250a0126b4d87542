import { CodedError } from '#lib/errors'

/** Codes of layer encryption. */
export type OcicryptCode =
  | 'LAYER_OPTIONS_INVALID'
  | 'LAYER_CIPHER_UNSUPPORTED'
  | 'LAYER_MAC_MISMATCH'
  | 'LAYER_DIGEST_MISMATCH'
  | 'LAYER_KEY_UNAVAILABLE'
  | 'WRAP_LIST_INVALID'
  | 'SCHEME_UNSUPPORTED'
  | 'JWE_INVALID'
  | 'JWE_UNSUPPORTED'
  | 'JWE_NOT_FOR_KEY'
  | 'PACKET_INVALID'
  | 'PACKET_LEGACY'
  | 'PACKET_UNSUPPORTED'
  | 'PACKET_NOT_FOR_KEY'
  | 'KEK_INVALID'
  | 'KEK_SAMPLE_REFUSED'
  | 'KEY_INVALID'
  | 'KEY_PASSPHRASE'
  | 'KEY_TYPE_UNSUPPORTED'

/** A layer cannot be encrypted, or its key or bytes are not what the annotations say. */
export class OcicryptError extends CodedError<OcicryptCode> {}
