/**
 * Opens the chunks of one sealed layer: AES-256-GCM, nonce = u32(0) ‖ u64be(index), associated data =
 * the file's id (own-protocols 4). Two fillings, tested against each other: OpenSSL in place, and
 * `node:crypto` as the reference.
 */
export interface ChunkOpener extends Disposable {
  /**
   * Decrypts chunk `index` where it lies. False if the tag does not fit: the chunk is wiped then,
   * because what stands in it was never authenticated.
   */
  open(index: number, chunk: Uint8Array, tag: Uint8Array): boolean
}

/** Bytes of a chunk's tag. */
export const TAG_LENGTH = 16
/** Bytes of a chunk's nonce. */
export const NONCE_LENGTH = 12

/** Writes the nonce of chunk `index`; the first four bytes stay zero. */
export function writeNonce(into: Uint8Array, index: number): void {
  if (!Number.isSafeInteger(index) || index < 0) throw new RangeError('chunk index')
  const view = new DataView(into.buffer, into.byteOffset, NONCE_LENGTH)
  view.setUint32(0, 0)
  view.setBigUint64(4, BigInt(index))
}

/** Checks what both fillings are given: a wrong length would be read past its end by OpenSSL. */
export function checkLengths(key: Uint8Array, fileId: Uint8Array): void {
  if (key.length !== 32) throw new RangeError('the key of a sealed layer has 32 bytes')
  if (fileId.length !== 16) throw new RangeError('the file id of a sealed layer has 16 bytes')
}
