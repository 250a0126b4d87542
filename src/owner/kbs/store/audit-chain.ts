import { createHash } from 'node:crypto'

/** Hash before the first entry. */
export const AUDIT_START: Uint8Array = new Uint8Array(32)

/** Hash of one entry: SHA-256(0x01 ‖ previous hash ‖ u32be(length) ‖ text). */
export function chainHash(previous: Uint8Array, text: string): Uint8Array {
  const bytes = Buffer.from(text, 'utf8')
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return new Uint8Array(
    createHash('sha256')
      .update(Uint8Array.of(1))
      .update(previous)
      .update(length)
      .update(bytes)
      .digest(),
  )
}
