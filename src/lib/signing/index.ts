// Verifying, as the enclave does it. The other half, signing, is `#lib/signing/sign`.
export type { ImagePolicyInput, ImagePolicyResult, RequirementResult } from './evaluate.ts'
export { evaluateImagePolicy, policyKeyPaths } from './evaluate.ts'
export type { IdentityRule } from './identity.ts'
export type { SignedPayload } from './payload.ts'
export { MAX_PAYLOAD, parsePayload } from './payload.ts'
export type { ImagePolicy, Requirement } from './policy.ts'
export { parsePolicy } from './policy.ts'
export type { ImageSignature } from './signature-image.ts'
export {
  MAX_SIGNATURES,
  PAYLOAD_MEDIA_TYPE,
  readSignatures,
  SIGNATURE_ANNOTATION,
  signatureTag,
} from './signature-image.ts'
export type { SigningCode } from './signing-error.ts'
export { SigningError } from './signing-error.ts'
export type { VerificationKey } from './verification-key.ts'
export { parseVerificationKey, verifySignature } from './verification-key.ts'
