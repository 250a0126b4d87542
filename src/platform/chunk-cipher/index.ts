export type { ChunkOpener } from './chunk-opener.ts'
export { createOpensslOpener } from './openssl-opener.ts'
export { createReferenceOpener } from './reference-opener.ts'
