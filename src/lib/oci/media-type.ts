import { quote } from './digest.ts'
import { OciError } from './oci-error.ts'

/** Media types of image specification 1.1 and of docker's schema 2. */
export const MEDIA_TYPES = {
  ociManifest: 'application/vnd.oci.image.manifest.v1+json',
  ociIndex: 'application/vnd.oci.image.index.v1+json',
  ociConfig: 'application/vnd.oci.image.config.v1+json',
  ociEmpty: 'application/vnd.oci.empty.v1+json',
  ociLayerTar: 'application/vnd.oci.image.layer.v1.tar',
  ociLayerGzip: 'application/vnd.oci.image.layer.v1.tar+gzip',
  ociLayerZstd: 'application/vnd.oci.image.layer.v1.tar+zstd',
  dockerManifest: 'application/vnd.docker.distribution.manifest.v2+json',
  dockerManifestList: 'application/vnd.docker.distribution.manifest.list.v2+json',
  dockerConfig: 'application/vnd.docker.container.image.v1+json',
  dockerLayerTar: 'application/vnd.docker.image.rootfs.diff.tar',
  dockerLayerGzip: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
} as const

/** Suffix that ocicrypt puts behind the media type of an encrypted layer. */
export const ENCRYPTED_SUFFIX = '+encrypted'

/** What a client accepts from a registry, in order of preference. */
export const MANIFEST_ACCEPT: readonly string[] = [
  MEDIA_TYPES.ociManifest,
  MEDIA_TYPES.ociIndex,
  MEDIA_TYPES.dockerManifest,
  MEDIA_TYPES.dockerManifestList,
]

/** How the bytes of a layer, after any decryption, are compressed. */
export type LayerCompression = 'none' | 'gzip' | 'zstd'

/** What a layer's media type says of its blob. */
export interface LayerType {
  readonly compression: LayerCompression
  readonly encrypted: boolean
}

const OCI_LAYER =
  /^application\/vnd\.oci\.image\.layer\.(?:nondistributable\.)?v1\.tar(\+gzip|\+zstd)?$/
const DOCKER_LAYER = /^application\/vnd\.docker\.image\.rootfs\.(?:foreign\.)?diff\.tar(\.gzip)?$/

/**
 * Reads a layer media type. Throws `IMAGE_MEDIA_TYPE_UNSUPPORTED` for what is not a file
 * system layer, and names the abandoned `+enc` suffix of 2019.
 */
export function layerType(mediaType: string): LayerType {
  const encrypted = isEncrypted(mediaType)
  const plain = encrypted ? plainMediaType(mediaType) : mediaType
  const match = OCI_LAYER.exec(plain) ?? (encrypted ? null : DOCKER_LAYER.exec(plain))
  if (match === null) {
    const old = mediaType.endsWith('+enc') ? '; the suffix +enc of 2019 is not supported' : ''
    throw new OciError(
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
      `reading a layer: ${quote(mediaType)} is not a layer media type${old}`,
    )
  }
  const suffix = match[1] ?? ''
  const compression = suffix.endsWith('gzip') ? 'gzip' : suffix.endsWith('zstd') ? 'zstd' : 'none'
  return { compression, encrypted }
}

/** A layer that is one WebAssembly module; it can be encrypted, but it is no file system. */
const WASM_LAYER = 'application/vnd.wasm.content.layer.v1+wasm'

/**
 * True for what can be encrypted as a layer, and for its encrypted form. False for build
 * attestations, signatures and other artifacts, which stay readable.
 */
export function isLayerType(mediaType: string): boolean {
  const plain = isEncrypted(mediaType) ? plainMediaType(mediaType) : mediaType
  const docker = !isEncrypted(mediaType) && DOCKER_LAYER.test(plain)
  return docker || OCI_LAYER.test(plain) || plain === WASM_LAYER
}

/** True if the media type says that the blob is encrypted. */
export function isEncrypted(mediaType: string): boolean {
  return mediaType.endsWith(ENCRYPTED_SUFFIX)
}

/** True for layers that come from elsewhere and are not copied between registries. */
export function isForeignLayer(mediaType: string): boolean {
  return mediaType.includes('.layer.nondistributable.') || mediaType.includes('.rootfs.foreign.')
}

/**
 * The media type of the encrypted form of a layer: suffix appended; docker's types become
 * OCI's first, for a docker manifest cannot carry an encrypted layer. Throws
 * `IMAGE_MEDIA_TYPE_UNSUPPORTED` if it is encrypted already or is no layer.
 */
export function encryptedMediaType(mediaType: string): string {
  if (!isLayerType(mediaType)) layerType(mediaType)
  if (isEncrypted(mediaType)) {
    throw new OciError(
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
      `encrypting a layer: ${quote(mediaType)} says that it is encrypted already`,
    )
  }
  return ociMediaType(mediaType) + ENCRYPTED_SUFFIX
}

/** The media type without the suffix `+encrypted`; throws if it has none. */
export function plainMediaType(mediaType: string): string {
  if (!isEncrypted(mediaType)) {
    throw new OciError(
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
      `decrypting a layer: ${quote(mediaType)} does not say that it is encrypted`,
    )
  }
  return mediaType.slice(0, -ENCRYPTED_SUFFIX.length)
}

/** Docker's media types and their OCI equals. */
const DOCKER_TO_OCI: ReadonlyMap<string, string> = new Map([
  [MEDIA_TYPES.dockerManifest, MEDIA_TYPES.ociManifest],
  [MEDIA_TYPES.dockerManifestList, MEDIA_TYPES.ociIndex],
  [MEDIA_TYPES.dockerConfig, MEDIA_TYPES.ociConfig],
  [MEDIA_TYPES.dockerLayerTar, MEDIA_TYPES.ociLayerTar],
  [MEDIA_TYPES.dockerLayerGzip, MEDIA_TYPES.ociLayerGzip],
  [
    'application/vnd.docker.image.rootfs.foreign.diff.tar',
    'application/vnd.oci.image.layer.nondistributable.v1.tar',
  ],
  [
    'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
    'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip',
  ],
])
const OCI_TO_DOCKER: ReadonlyMap<string, string> = new Map(
  [...DOCKER_TO_OCI].map(([docker, oci]) => [oci, docker]),
)

/** The OCI equal of a docker media type; any other type is returned as it is. */
export function ociMediaType(mediaType: string): string {
  return DOCKER_TO_OCI.get(mediaType) ?? mediaType
}

/** The docker equal of an OCI media type; undefined where docker has none (zstd, encrypted). */
export function dockerMediaType(mediaType: string): string | undefined {
  return DOCKER_TO_OCI.has(mediaType) ? mediaType : OCI_TO_DOCKER.get(mediaType)
}

/** True for both spellings of the configuration of a container image. */
export function isImageConfigType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociConfig || mediaType === MEDIA_TYPES.dockerConfig
}

/** True for both spellings of a manifest, false for indexes and all else. */
export function isManifestType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociManifest || mediaType === MEDIA_TYPES.dockerManifest
}

/** True for both spellings of an index. */
export function isIndexType(mediaType: string): boolean {
  return mediaType === MEDIA_TYPES.ociIndex || mediaType === MEDIA_TYPES.dockerManifestList
}
