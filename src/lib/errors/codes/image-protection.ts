/** Codes of layer encryption (`#lib/ocicrypt`) and image signatures (`#lib/signing`). */
export const IMAGE_PROTECTION_CODES = {
  LAYER_OPTIONS_INVALID: {
    meaning: 'The encryption options of a layer are missing or malformed.',
    next: 'encrypt the image again',
  },
  LAYER_CIPHER_UNSUPPORTED: {
    meaning: 'A layer is encrypted with a cipher other than AES_256_CTR_HMAC_SHA256.',
    next: 'encrypt the image again with a current tool',
  },
  LAYER_MAC_MISMATCH: {
    meaning: 'The encrypted bytes of a layer do not match the HMAC of its options.',
    next: 'fetch the image again; if it repeats, the layer or its annotations were changed',
  },
  LAYER_DIGEST_MISMATCH: {
    meaning: 'A decrypted layer is not the blob that was encrypted.',
    next: 'encrypt the image again; the layer or its annotations were changed',
  },
  LAYER_KEY_UNAVAILABLE: {
    meaning: 'None of the keys wrapped for a layer could be opened.',
    next: 'read the reason of each wrapped key; give the key that one of them names',
  },
  WRAP_LIST_INVALID: {
    meaning: 'The list of wrapped keys of a layer is malformed.',
    next: 'encrypt the image again',
  },
  SCHEME_UNSUPPORTED: {
    meaning: 'A key is wrapped with a scheme that this program does not open or write.',
    next: 'use jwe:, provider:attestation-agent: or kbs:/// for the image',
  },
  JWE_INVALID: {
    meaning: 'A wrapped key is not a well-formed JWE.',
    next: 'encrypt the image again',
  },
  JWE_UNSUPPORTED: {
    meaning: 'A wrapped key uses a JWE algorithm or header that is refused.',
    next: 'encrypt the image again with RSA-OAEP or ECDH-ES+A256KW',
  },
  JWE_NOT_FOR_KEY: {
    meaning: 'None of the given private keys opens a wrapped key.',
    next: 'give the private key that belongs to a recipient of the image',
  },
  PACKET_INVALID: {
    meaning: 'An attestation-agent packet is malformed.',
    next: 'encrypt the image again',
  },
  PACKET_LEGACY: {
    meaning:
      'An attestation-agent packet was written before 2023, in a form no current tool reads.',
    next: 'encrypt the image again with a current tool',
  },
  PACKET_UNSUPPORTED: {
    meaning:
      'An attestation-agent packet names a provider, version or algorithm that is not supported.',
    next: 'encrypt the image again with provider kbs and A256GCM',
  },
  PACKET_NOT_FOR_KEY: {
    meaning: 'The key-encryption key does not open the attestation-agent packet that names it.',
    next: 'check that the resource holds the key with which the image was encrypted',
  },
  KEK_INVALID: {
    meaning: 'A key-encryption key is not exactly 32 bytes.',
    next: 'store the raw 32 bytes, neither hexadecimal nor base64, without a newline',
  },
  KEK_SAMPLE_REFUSED: {
    meaning: 'The publicly known sample key would be used to protect or open a layer.',
    next: 'encrypt the image with a key of your own',
  },
  KEY_INVALID: {
    meaning: 'A key file or key resource holds no key that can be used here.',
    next: 'make a key with enclave-cc keygen, or check that the file is the right half',
  },
  KEY_PASSPHRASE: {
    meaning: 'A private key is encrypted and its passphrase is missing or wrong.',
    next: 'set ENCLAVE_CC_KEY_PASSWORD, or run the command on a terminal to be asked',
  },
  IMAGE_POLICY_INVALID: {
    meaning: 'A signature policy (policy.json) is malformed.',
    next: 'correct the policy; docs/formats/signature.md lists what is allowed',
  },
  IMAGE_POLICY_REJECTS: {
    meaning: 'The signature policy rejects every image of this scope.',
    next: 'add a requirement for the repository to the policy',
  },
  IMAGE_POLICY_REQUIREMENT_UNSUPPORTED: {
    meaning: 'The signature policy has a requirement that this version cannot check, so it fails.',
    next: 'use sigstoreSigned with keyData or keyDatas',
  },
  IMAGE_POLICY_KEY_UNAVAILABLE: {
    meaning: 'The signature policy names a key file that is not available here.',
    next: 'put the key into the policy with keyData',
  },
  SIGNATURE_MISSING: {
    meaning: 'The image has no signature of the kind that the policy requires.',
    next: 'sign the image with enclave-cc image sign',
  },
  SIGNATURE_INVALID: {
    meaning: 'No signature of the image was made by a key that the policy trusts.',
    next: 'sign the image with a key of the policy, or add the key to the policy',
  },
  SIGNATURE_PAYLOAD_INVALID: {
    meaning: 'The signed payload is malformed.',
    next: 'sign the image again',
  },
  SIGNATURE_DIGEST_MISMATCH: {
    meaning: 'A good signature is for another image.',
    next: 'sign the digest that is to be run',
  },
  SIGNATURE_IDENTITY_MISMATCH: {
    meaning: 'A good signature names another repository or reference.',
    next: 'sign under the name that is run, or set signedIdentity to matchRepository, exactRepository or remapIdentity',
  },
  SIGNATURE_LIMIT: {
    meaning: 'The signature image has more or larger signatures than are read.',
    next: 'delete stale signatures of the image',
  },
  KEY_TYPE_UNSUPPORTED: {
    meaning: 'A key has a type or size that is not accepted for this use.',
    next: 'use EC P-256',
  },
  IMAGE_NOT_ENCRYPTED: {
    meaning: 'An image that was to be encrypted or decrypted has layers that are not encrypted.',
    next: 'check which image is meant; nothing was published',
  },
  OUTPUT_UNVERIFIED: {
    meaning: 'What was just written does not read back as intended.',
    next: 'delete the destination and try again; report it if it repeats',
  },
} as const

/** A code of `IMAGE_PROTECTION_CODES`. */
export type ImageProtectionCode = keyof typeof IMAGE_PROTECTION_CODES
