/** Codes of enclave manifests and bundles. */
export const BUNDLE_CODES = {
  MANIFEST_INVALID: {
    meaning: 'An enclave manifest does not follow its format.',
    next: 'build the bundle again with: enclave-cc bundle build',
  },
  MANIFEST_SIGNATURE: {
    meaning: "An enclave manifest's signature does not match its content and signer.",
    next: 'build the bundle again, or fetch it again from its publisher',
  },
  BUNDLE_IMAGE_MISMATCH: {
    meaning: 'The bundle image is not the one that its manifests name.',
    next: 'build the bundle again; if you did not change it, find out who did',
  },
  BUNDLE_MISSING: {
    meaning: 'No bundle is where one is needed.',
    next: 'build one with: enclave-cc bundle build, or pass --bundle DIR',
  },
  BUNDLE_INPUT_MISSING: {
    meaning: 'A file that a bundle is made of is missing on this machine.',
    next: 'install the Debian package that the message names',
  },
} as const

/** A code of `BUNDLE_CODES`. */
export type BundleCode = keyof typeof BUNDLE_CODES
