import { digestOf, formatReference, parseImageManifest, type Reference, withTag } from '#lib/oci'
import { type ImageSignature, readSignatures, signatureTag } from '#lib/signing'
import { addSignature, encodePayload, type SigningKey } from '#lib/signing/sign'
import { ProtectError } from './protect-error.ts'
import {
  type ImageDestination,
  type ImageSource,
  readBlob,
  type ServedManifest,
} from './transport.ts'

/** A signature that was stored. */
export interface StoredSignature {
  /** `simple`: cosign's tag scheme. */
  readonly scheme: 'simple'
  readonly keyId: string
  /** Reference of the signature image. */
  readonly stored: string
}

/**
 * Signs one manifest digest and appends the signature to those that its repository holds
 * (cosign's tag scheme). What is there is read first; where two signers do so at once, the
 * later one wins and the earlier signature is lost, as with cosign.
 */
export async function signDigest(
  destination: ImageDestination,
  reference: Reference,
  manifestDigest: string,
  key: SigningKey,
  annotations: Readonly<Record<string, string>>,
): Promise<StoredSignature> {
  const tag = signatureTag(manifestDigest)
  const existing = await destination.tagged(tag)
  const image = addSignature(
    existing === undefined ? undefined : parseImageManifest(existing.bytes, existing.mediaType),
    encodePayload(reference, manifestDigest, annotations),
    key,
  )
  for (const bytes of [image.payload, image.config]) {
    await destination.blob(once(bytes), { digest: digestOf(bytes), size: bytes.length })
  }
  await destination.manifest(image.manifest, image.mediaType, tag)
  return { scheme: 'simple', keyId: key.id, stored: formatReference(withTag(reference, tag)) }
}

/** Digests that `image sign` covers: the top one, with `recursive` also all that it lists. */
export async function digestsToSign(source: ImageSource, recursive: boolean): Promise<string[]> {
  const top = await source.top()
  const digests = [top.digest]
  if (recursive && top.manifest.kind === 'index') {
    digests.push(...top.manifest.manifests.map(({ digest }) => digest))
  }
  return [...new Set(digests)]
}

/** The signatures of a manifest digest; empty if it has none. */
export async function signaturesOf(
  source: ImageSource,
  manifestDigest: string,
): Promise<ImageSignature[]> {
  const served: ServedManifest | undefined = await source.tagged(signatureTag(manifestDigest))
  if (served === undefined) return []
  const manifest = parseImageManifest(served.bytes, served.mediaType)
  return await readSignatures(manifest, (layer) => readBlob(source, layer, layer.size))
}

/** The image's name, without which neither signing nor verifying means anything. */
export function namedReference(
  { text, reference }: Pick<ImageSource, 'text' | 'reference'>,
  doing: string,
): Reference {
  if (reference !== undefined) return reference
  throw new ProtectError('USAGE', `${doing} ${text}: it has no name in a registry`, {
    next: 'push the image first, then name it as docker://registry/repository:tag',
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}
