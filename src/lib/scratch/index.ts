export { forgetAll } from './forget-all.ts'
export { MAX_SCRATCH, MIN_SCRATCH, SCRATCH_CHUNK, scratchChunks } from './geometry.ts'
export { NonceCounter, SEALS_PER_WORKER } from './nonce-counter.ts'
export type { ScratchCipher, ScratchCipherFactory } from './scratch-cipher.ts'
export { chunkAad, createScratchCipher, NONCE, SCRATCH_KEY, TAG } from './scratch-cipher.ts'
export type {
  ScratchFailure,
  ScratchFile,
  ScratchOutcome,
  ScratchRead,
  ScratchStoreOptions,
} from './scratch-store.ts'
export { ScratchStore, scratchBuffer } from './scratch-store.ts'
export type { ScratchTable } from './table.ts'
export { CHUNK_STATE, createScratchTable, LOCK_WORDS } from './table.ts'
