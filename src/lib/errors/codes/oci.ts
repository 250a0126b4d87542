/** Codes of image names, digests, manifests and configurations (`lib/oci`). */
export const OCI_CODES = {
  IMAGE_REFERENCE_INVALID: {
    meaning: 'An image name does not follow the grammar HOST/REPOSITORY[:TAG][@DIGEST].',
    next: 'write the name in lower case, for example registry.example/team/app:1.0',
  },
  IMAGE_DIGEST_INVALID: {
    meaning: 'A digest is not sha256 or sha512 with lower-case hexadecimal of full length.',
    next: 'take the digest from the tool that wrote the image; it has the form sha256:<64 hex>',
  },
  IMAGE_DIGEST_MISMATCH: {
    meaning: 'Content that arrived does not have the digest under which it was asked for.',
    next: 'fetch again; if it repeats, the registry or something before it changes content',
  },
  IMAGE_SIZE_MISMATCH: {
    meaning: 'Content that arrived is longer or shorter than its descriptor says.',
    next: 'fetch again; if it repeats, the registry or something before it changes content',
  },
  IMAGE_MANIFEST_INVALID: {
    meaning: 'A manifest or index breaks the OCI image specification.',
    next: 'rebuild or push the image again with a current tool',
  },
  IMAGE_MANIFEST_AMBIGUOUS: {
    meaning: 'A document can be read as a manifest and as an index, or under two media types.',
    next: 'do not use this image; a correct tool never writes such a document (CVE-2021-41190)',
  },
  IMAGE_MEDIA_TYPE_UNSUPPORTED: {
    meaning: 'A manifest, configuration or layer has a media type that is not supported.',
    next: 'convert the image with: enclave-cc image copy --format oci SRC DST',
  },
  IMAGE_CONFIG_INVALID: {
    meaning: 'The image configuration breaks the OCI image specification.',
    next: 'rebuild the image with a current tool',
  },
  IMAGE_PLATFORM_MISSING: {
    meaning: 'No image of the index is for the wanted operating system and architecture.',
    next: 'build the image for this platform too, or choose one of those listed with --platform',
  },
} as const

/** A code of `OCI_CODES`. */
export type OciCode = keyof typeof OCI_CODES
