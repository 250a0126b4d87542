import type { Duplex } from 'node:stream'
import { encodeFrame } from './frame.ts'

/**
 * Writes one frame and settles when the stream has taken it. Every frame is a single `write`,
 * which is what keeps frames of concurrent calls apart.
 */
export function writeFrame(
  stream: Duplex,
  type: number,
  streamId: number,
  body: Uint8Array,
): Promise<void> {
  const frame = encodeFrame(type, streamId, body)
  return new Promise((resolve, reject) => {
    stream.write(frame, (error) => (error ? reject(error) : resolve()))
  })
}
