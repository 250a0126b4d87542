import { CodedError } from '#lib/errors'

/** Codes of the TEE device; their rows are in `lib/errors/codes/tee-device.ts`. */
export type TeeDeviceCode =
  | 'TEE_DEVICE_CLOSED'
  | 'TEE_DEVICE_PROTOCOL'
  | 'TEE_REQUEST_MALFORMED'
  | 'TEE_OPERATION_UNKNOWN'
  | 'TEE_KEY_REFUSED'
  | 'TEE_REPORT_REFUSED'
  | 'TEE_DEVICE_FAILED'

/** A TEE device refused a request, answered out of its protocol, or went away. */
export class TeeDeviceError extends CodedError<TeeDeviceCode> {}
