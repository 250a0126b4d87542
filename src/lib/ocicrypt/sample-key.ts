import { fromHex } from '#lib/bytes'

/** The key-encryption key that CoCo publishes for samples (docs/formats/ocicrypt.md). No secret. */
export const SAMPLE_KEK: Uint8Array = /* @__PURE__ */ fromHex(
  'd99b7705b0ba7a168295b3a3367270b0dd9b371bf514ca8b9ba7f0a33711daea',
  'sample key',
  32,
)
