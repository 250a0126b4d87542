import { fromBase64, toBase64, utf8 } from '#lib/bytes'
import {
  type Descriptor,
  digestOf,
  encodeManifest,
  type ImageManifest,
  MEDIA_TYPES,
} from '#lib/oci'
import { MAX_SIGNATURES, PAYLOAD_MEDIA_TYPE, SIGNATURE_ANNOTATION } from '../signature-image.ts'
import { SigningError } from '../signing-error.ts'
import { parseVerificationKey, verifySignature } from '../verification-key.ts'
import { type SigningKey, signBytes } from './signing-key.ts'

/** The blobs and the manifest to store under `signatureTag(digest)`. */
export interface SignatureImage {
  readonly manifest: Uint8Array
  readonly mediaType: string
  readonly config: Uint8Array
  readonly payload: Uint8Array
}

/**
 * Signs a payload and adds the signature to the image's signatures (cosign's tag scheme,
 * docs/formats/signature.md). An earlier signature of the same key over the same payload is
 * replaced, all others stay. Throws `SIGNATURE_LIMIT` for more than verifiers read.
 */
export function addSignature(
  existing: ImageManifest | undefined,
  payload: Uint8Array,
  key: SigningKey,
): SignatureImage {
  const digest = digestOf(payload)
  const own = parseVerificationKey(key.publicPem)
  const kept = (existing?.layers ?? []).filter(
    (layer) => !(layer.digest === digest && verifies(layer)),
  )
  function verifies(layer: Descriptor): boolean {
    const text = layer.annotations?.[SIGNATURE_ANNOTATION] ?? ''
    try {
      return verifySignature(own, payload, fromBase64(text, 'signature'))
    } catch {
      return false
    }
  }
  if (kept.length >= MAX_SIGNATURES) {
    throw new SigningError(
      'SIGNATURE_LIMIT',
      `adding a signature: the image has ${kept.length} already, verifiers read ${MAX_SIGNATURES}`,
    )
  }
  const layers: Descriptor[] = [
    ...kept,
    {
      mediaType: PAYLOAD_MEDIA_TYPE,
      digest,
      size: payload.length,
      annotations: { [SIGNATURE_ANNOTATION]: toBase64(signBytes(key, payload)) },
    },
  ]
  const config = configOf(layers)
  const manifest = encodeManifest({
    kind: 'manifest',
    mediaType: MEDIA_TYPES.ociManifest,
    config: { mediaType: MEDIA_TYPES.ociConfig, digest: digestOf(config), size: config.length },
    layers,
  })
  return { manifest, mediaType: MEDIA_TYPES.ociManifest, config, payload }
}

// An image configuration in name only: registries want one, verifiers do not read it.
function configOf(layers: readonly Descriptor[]): Uint8Array {
  const created = '0001-01-01T00:00:00Z'
  return utf8(
    JSON.stringify({
      architecture: '',
      created,
      history: layers.map(() => ({ created })),
      os: '',
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
      config: {},
    }),
  )
}
