import { concat } from './compare.ts'

/**
 * All bytes of a source, or undefined as soon as there are more than `max`: no more than that and one piece
 * are ever kept. The source is closed then.
 */
export async function collectAtMost(
  source: AsyncIterable<Uint8Array>,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of source) {
    length += piece.length
    if (length > max) return undefined
    pieces.push(piece)
  }
  return concat(...pieces)
}
