import { CodedError } from '#lib/errors'

/** Codes of sealed layers. */
export type SealedCode = 'SEALED_FORMAT' | 'SEALED_MISMATCH' | 'SEALED_CHUNK' | 'SEALED_STATE'

/** A sealed layer cannot be made or opened. Texts name offsets and indexes, never bytes. */
export class SealedError extends CodedError<SealedCode> {}
