import { CodedError } from '#lib/errors'

/** Codes of errors found while reading bytes. */
export type FormatCode = 'FORMAT_TRUNCATED' | 'FORMAT_TRAILING' | 'FORMAT_LIMIT' | 'FORMAT_INVALID'

/** Bytes do not follow their format. `field` names the field, `offset` is in bytes from the start. */
export class FormatError extends CodedError<FormatCode> {
  readonly field: string
  readonly offset: number

  constructor(code: FormatCode, field: string, offset: number, message: string) {
    super(code, `reading ${field} at offset ${offset}: ${message}`)
    this.field = field
    this.offset = offset
  }
}
