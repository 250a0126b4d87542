import {
  createCipheriv,
  createDecipheriv,
  createSecretKey,
  type KeyObject,
  randomFillSync,
} from 'node:crypto'
import { TAG_LENGTH } from './layout.ts'

/**
 * Opens chunks of one sealed file. `createChunkOpener` is the reference; a faster one
 * (the same OpenSSL called in place) must agree with it byte for byte.
 */
export interface ChunkOpener {
  /**
   * Decrypts chunk `index` where it lies. False if the tag does not fit: `chunk` then
   * holds no plaintext.
   */
  openInPlace(index: number, chunk: Uint8Array, tag: Uint8Array): boolean
  /** Forgets the key. */
  close(): void
}

/** Makes a ChunkOpener from the 32-byte key and the 16-byte file id. */
export type ChunkOpenerFactory = (key: Uint8Array, fileId: Uint8Array) => ChunkOpener

/**
 * Seals chunks of one sealed file. `createChunkSealer` is the reference; a faster one must agree with it
 * byte for byte.
 */
export interface ChunkSealer {
  /** Encrypts chunk `index`: the ciphertext goes to `out`, which is as long, and the tag to `tag`. */
  seal(index: number, plain: Uint8Array, out: Uint8Array, tag: Uint8Array): void
  /** Forgets the key. */
  close(): void
}

/** Makes a ChunkSealer from the 32-byte key and the 16-byte file id. */
export type ChunkSealerFactory = (key: Uint8Array, fileId: Uint8Array) => ChunkSealer

/** The 96-bit nonce of a chunk: `u32(0) ‖ u64be(index)`. */
export function chunkNonce(index: number): Uint8Array<ArrayBuffer> {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError(`chunk ${index}`)
  const nonce = new Uint8Array(12)
  new DataView(nonce.buffer).setBigUint64(4, BigInt(index))
  return nonce
}

/** Encrypts chunk `index`: the ciphertext goes to `out`, the tag to `tag`. */
export function sealChunk(
  key: KeyObject,
  fileId: Uint8Array,
  index: number,
  plain: Uint8Array,
  out: Uint8Array,
  tag: Uint8Array,
): void {
  const cipher = createCipheriv('aes-256-gcm', key, chunkNonce(index), {
    authTagLength: TAG_LENGTH,
  })
  cipher.setAAD(fileId)
  out.set(cipher.update(plain))
  cipher.final()
  tag.set(cipher.getAuthTag())
}

/** Decrypts one chunk; undefined if the tag does not fit. */
export function openChunk(
  key: KeyObject | Uint8Array,
  fileId: Uint8Array,
  index: number,
  ciphertext: Uint8Array,
  tag: Uint8Array,
): Uint8Array | undefined {
  // A shorter tag would be accepted by GCM itself and is easier to forge.
  if (tag.length !== TAG_LENGTH) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, chunkNonce(index), {
    authTagLength: TAG_LENGTH,
  })
  decipher.setAAD(fileId)
  decipher.setAuthTag(tag)
  const plain = decipher.update(ciphertext)
  try {
    decipher.final()
  } catch {
    plain.fill(0)
    return undefined
  }
  return new Uint8Array(plain.buffer, plain.byteOffset, plain.length)
}

/** The reference opener, over `node:crypto`. */
export function createChunkOpener(key: Uint8Array, fileId: Uint8Array): ChunkOpener {
  let secret: KeyObject | undefined = createSecretKey(key)
  return {
    openInPlace(index, chunk, tag) {
      if (secret === undefined) throw new TypeError('the chunk opener is closed')
      const plain = openChunk(secret, fileId, index, chunk, tag)
      if (plain === undefined) return false
      chunk.set(plain)
      return true
    },
    close() {
      secret = undefined
    },
  }
}

/** The reference sealer, over `node:crypto`. */
export function createChunkSealer(key: Uint8Array, fileId: Uint8Array): ChunkSealer {
  let secret: KeyObject | undefined = createSecretKey(key)
  return {
    seal(index, plain, out, tag) {
      if (secret === undefined) throw new TypeError('the chunk sealer is closed')
      sealChunk(secret, fileId, index, plain, out, tag)
    },
    close() {
      secret = undefined
    },
  }
}

/** Random bytes; tests give their own source to get the same file twice. */
export type RandomSource = (length: number) => Uint8Array

/** The system's random source. */
export function systemRandom(length: number): Uint8Array {
  return randomFillSync(new Uint8Array(length))
}
