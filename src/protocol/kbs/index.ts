export { DECISION_PROOF_HEADER, decisionProven, proveDecision } from './decision-proof.ts'
export type {
  Attestation,
  AuthRequest,
  Challenge,
  Problem,
  ResourceResponse,
} from './messages.ts'
export {
  AUDIT_HEAD_HEADER,
  KBS_PREFIX,
  KBS_VERSION,
  MAX_BODY,
  parseAttestation,
  parseAuthRequest,
  parseChallenge,
  parseProblem,
  parseResourceResponse,
  parseTokenResponse,
  SESSION_COOKIE,
} from './messages.ts'
export type { ReportDataInput } from './report-data.ts'
export { rcarReportData } from './report-data.ts'
export type { EcTeeKey, RsaTeeKey, TeeKey } from './tee-key.ts'
export { parseTeeKey, teePublicKey } from './tee-key.ts'
