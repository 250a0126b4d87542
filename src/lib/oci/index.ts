export type { ManifestFormat } from './convert.ts'
export { convertIndex, convertManifest, manifestFormat } from './convert.ts'
export type { Descriptor, Platform } from './descriptor.ts'
export { encodeDescriptor, parseDescriptor } from './descriptor.ts'
export type { ContentName, DigestAlgorithm } from './digest.ts'
export {
  ContentCheck,
  checkContent,
  checkDigest,
  digestAlgorithm,
  digestHex,
  digestOf,
  isDigest,
  verified,
} from './digest.ts'
export type { ImageConfig, ProcessConfig } from './image-config.ts'
export { checkImageConfig, parseImageConfig } from './image-config.ts'
export type { ImageIndex, ImageManifest, Manifest } from './manifest.ts'
export {
  encodeManifest,
  MAX_MANIFEST_SIZE,
  parseImageIndex,
  parseImageManifest,
  parseManifest,
} from './manifest.ts'
export type { LayerCompression, LayerType } from './media-type.ts'
export {
  dockerMediaType,
  ENCRYPTED_SUFFIX,
  encryptedMediaType,
  isEncrypted,
  isForeignLayer,
  isImageConfigType,
  isIndexType,
  isLayerType,
  isManifestType,
  layerType,
  MANIFEST_ACCEPT,
  MEDIA_TYPES,
  ociMediaType,
  plainMediaType,
} from './media-type.ts'
export { OciError } from './oci-error.ts'
export {
  formatPlatform,
  MAX_INDEX_DEPTH,
  ociArchitecture,
  parsePlatformText,
  selectManifest,
} from './platform.ts'
export type { Reference } from './reference.ts'
export {
  apiHost,
  formatReference,
  isHost,
  isLoopbackHost,
  isRepository,
  isTag,
  manifestName,
  parseReference,
  withDigest,
  withTag,
} from './reference.ts'
