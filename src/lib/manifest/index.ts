export type { EnclaveManifest, EnclaveProgram, Peers, QuoteHandover } from './manifest.ts'
export { manifestBytes, parseManifest } from './manifest.ts'
export { mrEnclave, mrSigner } from './measure.ts'
export type { ManifestCode, SignedManifest } from './signed-manifest.ts'
export {
  MAX_SIGNED_MANIFEST,
  ManifestError,
  parseSignedManifest,
  signedManifestBytes,
  signManifest,
} from './signed-manifest.ts'
