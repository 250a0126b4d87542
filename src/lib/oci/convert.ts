import type { Descriptor } from './descriptor.ts'
import { quote } from './digest.ts'
import type { ImageIndex, ImageManifest, Manifest } from './manifest.ts'
import { dockerMediaType, MEDIA_TYPES, ociMediaType } from './media-type.ts'
import { OciError } from './oci-error.ts'

/** Families of manifest media types: OCI, and docker's schema 2. */
export type ManifestFormat = 'oci' | 'v2s2'

/** The family of a manifest or index. */
export function manifestFormat(manifest: Manifest): ManifestFormat {
  return manifest.mediaType === MEDIA_TYPES.ociManifest ||
    manifest.mediaType === MEDIA_TYPES.ociIndex
    ? 'oci'
    : 'v2s2'
}

/**
 * The same image with the media types of another family. Blobs, with them the configuration
 * and the image id, stay: docker's configuration is a superset of OCI's. Throws
 * `IMAGE_MEDIA_TYPE_UNSUPPORTED` where docker has no type (zstd, encrypted layers, artifacts).
 */
export function convertManifest(manifest: ImageManifest, format: ManifestFormat): ImageManifest {
  if (manifestFormat(manifest) === format) return manifest
  const { artifactType: _a, subject: _s, annotations: _n, ...image } = manifest
  if (format === 'v2s2' && (manifest.artifactType ?? manifest.subject) !== undefined) {
    throw new OciError(
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
      'converting to docker schema 2: it has no artifacts and no subjects',
    )
  }
  // Docker's schema 2 has no annotations; decoders there drop them.
  return {
    ...(format === 'oci' ? manifest : image),
    mediaType: convertType(manifest.mediaType, format),
    config: convertDescriptor(manifest.config, format),
    layers: manifest.layers.map((layer) => convertDescriptor(layer, format)),
  }
}

/** An index of another family over entries that were converted before. */
export function convertIndex(
  index: ImageIndex,
  format: ManifestFormat,
  manifests: readonly Descriptor[],
): ImageIndex {
  return { ...index, mediaType: convertType(index.mediaType, format), manifests }
}

function convertDescriptor(descriptor: Descriptor, format: ManifestFormat): Descriptor {
  const mediaType = convertType(descriptor.mediaType, format)
  if (format === 'oci') return { ...descriptor, mediaType }
  const { digest, size, urls } = descriptor
  return { mediaType, digest, size, ...(urls === undefined ? {} : { urls }) }
}

function convertType(mediaType: string, format: ManifestFormat): string {
  const converted = format === 'oci' ? ociMediaType(mediaType) : dockerMediaType(mediaType)
  if (converted !== undefined) return converted
  throw new OciError(
    'IMAGE_MEDIA_TYPE_UNSUPPORTED',
    `converting to docker schema 2: it has no equal of ${quote(mediaType)}`,
  )
}
