import { createHash } from 'node:crypto'

/**
 * `root = SHA-256(0x01 ‖ e(H) ‖ e(tags))`: the 32 bytes that pin size, file id and
 * every chunk of a sealed layer.
 */
export function sealedRoot(encodedHeader: Uint8Array, tags: Uint8Array): Uint8Array {
  return new Uint8Array(
    createHash('sha256')
      .update(Uint8Array.of(1))
      .update(u32(encodedHeader.length))
      .update(encodedHeader)
      .update(u32(tags.length))
      .update(tags)
      .digest(),
  )
}

function u32(value: number): Uint8Array {
  const out = new Uint8Array(4)
  new DataView(out.buffer).setUint32(0, value)
  return out
}
