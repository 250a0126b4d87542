import { CodedError } from '#lib/errors'

/** Codes of the simulated platform's directory; rows in `lib/errors/codes/tee-device.ts`. */
export type PlatformCode = 'PLATFORM_PERMISSIONS' | 'PLATFORM_DAMAGED' | 'PLATFORM_REHEARSAL_NEEDED'

/** The simulated platform cannot be opened or changed. */
export class PlatformError extends CodedError<PlatformCode> {}
