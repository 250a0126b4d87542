export type { AttestErrorOptions } from './attest-error.ts'
export { AttestError } from './attest-error.ts'
export { FLAGS } from './sgx/attributes.ts'
export { aesCmac } from './sgx/cmac.ts'
export type { KeyRequest } from './sgx/key-request.ts'
export {
  encodeKeyRequest,
  KEY_NAME,
  KEY_POLICY,
  KEY_REQUEST_SIZE,
  parseKeyRequest,
} from './sgx/key-request.ts'
export type { ParsedQuote, Quote } from './sgx/quote.ts'
export {
  ATTESTATION_KEY_P256,
  CERTIFICATION_PCK_CHAIN,
  encodeQuote,
  encodeSignedPart,
  INTEL_QE_VENDOR_ID,
  MAX_QUOTE_SIZE,
  parseQuote,
} from './sgx/quote.ts'
export type { Report, ReportBody } from './sgx/report.ts'
export {
  encodeReport,
  encodeReportBody,
  parseReport,
  parseReportBody,
  REPORT_BODY_SIZE,
  REPORT_DATA_SIZE,
  REPORT_SIZE,
} from './sgx/report.ts'
export type { TargetInfo } from './sgx/target-info.ts'
export {
  encodeTargetInfo,
  parseTargetInfo,
  TARGET_INFO_SIZE,
  targetInfoOf,
} from './sgx/target-info.ts'
export type { Tee, TeeCapabilities } from './tee.ts'
