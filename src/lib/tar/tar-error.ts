import { CodedError } from '#lib/errors'

/** Codes of the tar reader. */
export type TarCode =
  | 'TAR_TRUNCATED'
  | 'TAR_CHECKSUM'
  | 'TAR_INVALID'
  | 'TAR_UNSUPPORTED'
  | 'TAR_LIMIT'
  | 'TAR_TRAILING'

/** An archive breaks a rule of docs/formats/tar.md; the text names the offset in the archive. */
export class TarError extends CodedError<TarCode> {
  constructor(code: TarCode, offset: number, found: string) {
    super(code, `reading a tar archive at ${offset}: ${found}`, { details: { offset } })
  }
}
