import { createHash } from 'node:crypto'

/** `root`, for a tag table that comes in pieces. */
export interface RootHash {
  /** Next bytes of the tag table. */
  update(tags: Uint8Array): void
  /** The root, 32 bytes. */
  digest(): Uint8Array
}

/**
 * `root = SHA-256(0x01 ‖ e(H) ‖ e(tags))`: the 32 bytes that pin size, file id and
 * every chunk of a sealed layer. `tagsLength` in bytes.
 */
export function rootHash(encodedHeader: Uint8Array, tagsLength: number): RootHash {
  const hash = createHash('sha256')
    .update(Uint8Array.of(1))
    .update(u32(encodedHeader.length))
    .update(encodedHeader)
    .update(u32(tagsLength))
  return {
    update: (tags) => void hash.update(tags),
    digest: () => new Uint8Array(hash.digest()),
  }
}

/** `rootHash` of a whole table. */
export function sealedRoot(encodedHeader: Uint8Array, tags: Uint8Array): Uint8Array {
  const hash = rootHash(encodedHeader, tags.length)
  hash.update(tags)
  return hash.digest()
}

function u32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}
