import { CodedError } from '#lib/errors'

/** Codes of the EROFS writer and reader. */
export type ErofsCode =
  | 'EROFS_PATH'
  | 'EROFS_NOT_DIRECTORY'
  | 'EROFS_LINK_TARGET'
  | 'EROFS_XATTR'
  | 'EROFS_LIMIT'
  | 'EROFS_SIZE'
  | 'EROFS_INVALID'
  | 'EROFS_NOT_FOUND'
  | 'EROFS_LOOP'

/** An image cannot be written, or is not one that our writer makes. */
export class ErofsError extends CodedError<ErofsCode> {}
