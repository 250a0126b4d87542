import { isCoded } from '#lib/errors'
import type { Descriptor, ImageManifest } from '#lib/oci'
import { MAX_PAYLOAD } from './payload.ts'
import { SigningError } from './signing-error.ts'

/** Media type of a layer that is a signed payload. */
export const PAYLOAD_MEDIA_TYPE = 'application/vnd.dev.cosign.simplesigning.v1+json'
/** Annotation of such a layer: base64 of the signature over the payload's exact bytes. */
export const SIGNATURE_ANNOTATION = 'dev.cosignproject.cosign/signature'
/** Most signatures of one image that are read; those beyond are not looked at. */
export const MAX_SIGNATURES = 64

/** One signature as it was fetched; nothing about it is trusted yet. */
export interface ImageSignature {
  /** Digest of the payload, from the descriptor. */
  readonly digest: string
  /** The payload's bytes; absent if `problem` says why they could not be had. */
  readonly payload?: Uint8Array
  /** Annotation text, base64. */
  readonly signature: string
  readonly problem?: { readonly code: string; readonly message: string }
}

/** The tag under which cosign keeps the signatures of a manifest: `sha256-<hex>.sig`. */
export function signatureTag(manifestDigest: string): string {
  return `${manifestDigest.replace(':', '-')}.sig`
}

/**
 * Fetches the payloads of a signature image (docs/formats/signature.md). A payload that cannot be
 * had is kept with its problem, since one good signature is enough. Throws what `fetch` throws
 * if that has no code (an abort, a defect), and `SIGNATURE_LIMIT` for more than 64 signatures.
 */
export async function readSignatures(
  manifest: ImageManifest,
  fetch: (descriptor: Descriptor) => Promise<Uint8Array>,
): Promise<ImageSignature[]> {
  const layers = manifest.layers.filter(({ mediaType }) => mediaType === PAYLOAD_MEDIA_TYPE)
  if (layers.length > MAX_SIGNATURES) {
    throw new SigningError(
      'SIGNATURE_LIMIT',
      `reading the signatures of an image: there are ${layers.length}, ${MAX_SIGNATURES} at most`,
    )
  }
  const found: ImageSignature[] = []
  for (const layer of layers) {
    const signature = layer.annotations?.[SIGNATURE_ANNOTATION] ?? ''
    const { digest } = layer
    if (layer.size > MAX_PAYLOAD) {
      const problem = {
        code: 'SIGNATURE_LIMIT',
        message: `the payload has ${layer.size} bytes, ${MAX_PAYLOAD} at most`,
      }
      found.push({ digest, signature, problem })
      continue
    }
    try {
      found.push({ digest, signature, payload: await fetch(layer) })
    } catch (error) {
      if (!isCoded(error)) throw error
      const problem = { code: error.code, message: error.message }
      found.push({ digest, signature, problem })
    }
  }
  return found
}
