/** Codes of the places where the owner's commands read and write images (`owner/image`). */
export const IMAGE_TRANSPORT_CODES = {
  IMAGE_TRANSPORT_UNSUPPORTED: {
    meaning: 'An image name has a transport that is not supported (yet), or none.',
    next: 'use docker://HOST/NAME[:TAG] or oci:DIR[:TAG]; skopeo converts other forms',
  },
  IMAGE_NOT_FOUND: {
    meaning: 'A directory holds no image of that name.',
    next: 'see the names in its index.json, and write oci:DIR:NAME',
  },
  IMAGE_LAYOUT_INVALID: {
    meaning: 'A directory is not an OCI image layout, or parts of it are missing.',
    next: 'write the image anew with: enclave-cc image copy SRC oci:DIR:TAG',
  },
  IMAGE_DIGEST_CHANGES: {
    meaning: 'The copy would get another digest, and --preserve-digests forbids that.',
    next: 'leave out --format, or leave out --preserve-digests',
  },
  REGISTRY_CERTIFICATES_INVALID: {
    meaning: 'A directory with certificates for a registry cannot be used.',
    next: 'put CA certificates there as *.crt, and client certificates as *.cert with *.key',
  },
} as const

/** A code of `IMAGE_TRANSPORT_CODES`. */
export type ImageTransportCode = keyof typeof IMAGE_TRANSPORT_CODES
