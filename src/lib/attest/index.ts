export type { AttestErrorOptions } from './attest-error.ts'
export { AttestError } from './attest-error.ts'
export { FLAGS } from './sgx/attributes.ts'
export type { CertificationData } from './sgx/certification-data.ts'
export { parseCertificationData } from './sgx/certification-data.ts'
export type { PckClaim } from './sgx/chain.ts'
export { claimedAuthority, verifyPckChain } from './sgx/chain.ts'
export type { QuoteCheck } from './sgx/check-log.ts'
export type { SgxClaims } from './sgx/claims.ts'
export { sgxClaims } from './sgx/claims.ts'
export { aesCmac } from './sgx/cmac.ts'
export type { Collateral } from './sgx/collateral.ts'
export { collateralObject, decodeCrl, encodeChain, parseCollateral } from './sgx/collateral.ts'
export type { CollateralBundle } from './sgx/collateral-bundle.ts'
export {
  COLLATERAL_BUNDLE,
  MAX_COLLATERAL_BUNDLE,
  openCollateralBundle,
  signCollateralBundle,
} from './sgx/collateral-bundle.ts'
export { MAX_COLLATERAL_GRACE } from './sgx/collateral-grace.ts'
export type { CollateralFacts, CollateralSet } from './sgx/collateral-set.ts'
export {
  COLLATERAL_FILES,
  collateralFacts,
  collateralFromFiles,
  requireNotOlder,
  verifyCollateralSet,
} from './sgx/collateral-set.ts'
export type { VerifiedEvidence } from './sgx/evidence.ts'
export type { EvidenceWindow, GenuineQuote } from './sgx/genuine.ts'
export { intelSgxRoot } from './sgx/intel-root.ts'
export { issueTime } from './sgx/issue-time.ts'
export type { KeyRequest } from './sgx/key-request.ts'
export {
  encodeKeyRequest,
  KEY_NAME,
  KEY_POLICY,
  KEY_REQUEST_SIZE,
  parseKeyRequest,
} from './sgx/key-request.ts'
export type { PckExtension, PlatformConfiguration } from './sgx/pck-extension.ts'
export { parsePckExtension } from './sgx/pck-extension.ts'
export type { AllowedEnclave, QuotePolicy } from './sgx/policy.ts'
export { DEFAULT_TCB_STATUSES } from './sgx/policy.ts'
export type { ParsedFrame, ParsedQuote, Quote } from './sgx/quote.ts'
export {
  ATTESTATION_KEY_P256,
  CERTIFICATION_PCK_CHAIN,
  encodeQuote,
  encodeSignedPart,
  INTEL_QE_VENDOR_ID,
  MAX_QUOTE_SIZE,
  parseQuote,
  peekTeeType,
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
export { reportKeyRequest, reportMacHolds } from './sgx/report-mac.ts'
export type { TargetInfo } from './sgx/target-info.ts'
export {
  encodeTargetInfo,
  parseTargetInfo,
  TARGET_INFO_SIZE,
  targetInfoOf,
} from './sgx/target-info.ts'
export type { AnyTcbStatus, TcbState, TcbStatus } from './sgx/tcb-status.ts'
export { TCB_STATUSES, TD_RELAUNCH_STATUSES } from './sgx/tcb-status.ts'
export type { TrustAnchor } from './sgx/trust-anchor.ts'
export { parseTrustAnchor } from './sgx/trust-anchor.ts'
export type { QuoteResult, VerifyQuoteInput } from './sgx/verify.ts'
export { verifyQuote } from './sgx/verify.ts'
export type { ParsedTdQuote } from './tdx/td-quote.ts'
export { parseTdQuote, TEE_TDX } from './tdx/td-quote.ts'
export type { TdReport } from './tdx/td-report.ts'
export { TD_ATTRIBUTES } from './tdx/td-report.ts'
export type { TdTcbState } from './tdx/td-tcb.ts'
export type {
  TdQuotePolicy,
  TdQuoteResult,
  VerifiedTdEvidence,
  VerifyTdQuoteInput,
} from './tdx/verify-td.ts'
export { verifyTdQuote } from './tdx/verify-td.ts'
export type { Tee, TeeCapabilities } from './tee.ts'
