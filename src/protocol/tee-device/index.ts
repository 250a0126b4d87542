export type { Frame } from './frame.ts'
export { encodeFrame, FrameDecoder } from './frame.ts'
export type { Operation, OperationName } from './operations.ts'
export {
  codeOfStatus,
  KEY_SIZE,
  KEYREQUEST_SIZE,
  OPERATIONS,
  operationOf,
  REPORT_SIZE,
  REPORTDATA_SIZE,
  STATUS_OK,
  statusOfCode,
  TARGETINFO_SIZE,
} from './operations.ts'
export type { TeeDeviceCode } from './tee-device-error.ts'
export { TeeDeviceError } from './tee-device-error.ts'
