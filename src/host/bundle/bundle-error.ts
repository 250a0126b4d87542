import { CodedError } from '#lib/errors'

/** Codes of bundle errors. */
export type BundleErrorCode = 'BUNDLE_IMAGE_MISMATCH' | 'BUNDLE_MISSING' | 'BUNDLE_INPUT_MISSING'

/** A bundle that cannot be built, read or started. */
export class BundleError extends CodedError<BundleErrorCode> {}
