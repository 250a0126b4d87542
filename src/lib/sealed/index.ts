export type {
  ChunkOpener,
  ChunkOpenerFactory,
  ChunkSealer,
  ChunkSealerFactory,
  RandomSource,
} from './chunk-cipher.ts'
export { chunkNonce, createChunkOpener, createChunkSealer, openChunk } from './chunk-cipher.ts'
export type { SealedHeader } from './header.ts'
export {
  CHUNK_LOG2,
  encodeHeader,
  HEADER_LENGTH,
  MAX_IMAGE_LENGTH,
  parseHeader,
  SEALED_VERSION,
} from './header.ts'
export type { LayerPlace } from './layer-file.ts'
export { cachedLayerFile, layerPlace, spooledLayerFile } from './layer-file.ts'
export type { ChunkSpan, SealedLayout } from './layout.ts'
export {
  CHUNK_SIZE,
  chunkLength,
  chunkOffset,
  chunkSpan,
  HEADER_BLOCK,
  headerBlock,
  parseHeaderBlock,
  sealedLayout,
  TAG_LENGTH,
} from './layout.ts'
export type { OpenOptions, SealedImage, SealedSource } from './opener.ts'
export { openSealed, readSealed } from './opener.ts'
export type { RootHash } from './root.ts'
export { rootHash, sealedRoot } from './root.ts'
export type { SealedCode } from './sealed-error.ts'
export { SealedError } from './sealed-error.ts'
export type { SealedSecrets, SealedSink, Sealer, SealerOptions } from './sealer.ts'
export { createSealer } from './sealer.ts'
