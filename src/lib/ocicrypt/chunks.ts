import { copyOf } from '#lib/bytes'

/** Size in which ciphers and hashes are fed: below it calls dominate, above it caches miss. */
const CHUNK = 64 * 1024

/** The same bytes in pieces of 64 KiB, the last one shorter. Pieces may be views of the source's. */
export async function* chunked(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const held = new Uint8Array(CHUNK)
  let length = 0
  for await (const piece of source) {
    let at = 0
    while (at < piece.length) {
      if (length === 0 && piece.length - at >= CHUNK) {
        yield piece.subarray(at, at + CHUNK)
        at += CHUNK
        continue
      }
      const take = Math.min(CHUNK - length, piece.length - at)
      held.set(piece.subarray(at, at + take), length)
      length += take
      at += take
      if (length === CHUNK) {
        // Copied, since the consumer may still hold the piece when `held` is filled anew.
        yield copyOf(held)
        length = 0
      }
    }
  }
  if (length > 0) yield held.slice(0, length)
}
