import type { IncomingMessage } from 'node:http'
import { concat } from '#lib/bytes'
import { KbsError } from './kbs-error.ts'

/** Bytes of all bodies together that are held at one time. */
const MAX_HELD = 256 * 1024 * 1024

/** The body of one request. */
export interface BodyReader {
  /** The whole body, at most `limit` bytes. Throws KbsError KBS_BODY_TOO_LARGE, KBS_BUSY. */
  read(limit: number): Promise<Uint8Array>
  /** Gives its room back. */
  release(): void
}

/**
 * Bodies are held whole, so they share one room. What takes room is what has come, not what was
 * announced: a thousand clients that send a byte and then nothing take none from the others.
 */
export class BodyRoom {
  readonly #max: number
  #held = 0

  constructor(max: number = MAX_HELD) {
    this.#max = max
  }

  reader(request: Pick<IncomingMessage, 'headers'> & AsyncIterable<unknown>): BodyReader {
    let size = 0
    return {
      read: async (limit) => {
        // Refused by its own word where it gives one, before anything is read.
        if (Number(request.headers['content-length'] ?? 0) > limit) throw tooLarge(limit)
        const chunks: Uint8Array[] = []
        for await (const chunk of request as AsyncIterable<Uint8Array>) {
          if (size + chunk.length > limit) throw tooLarge(limit)
          if (this.#held + chunk.length > this.#max) {
            throw new KbsError('KBS_BUSY', 'reading a request: others hold all the room')
          }
          this.#held += chunk.length
          size += chunk.length
          chunks.push(chunk)
        }
        return concat(...chunks)
      },
      release: () => {
        this.#held -= size
        size = 0
      },
    }
  }
}

function tooLarge(limit: number): KbsError {
  return new KbsError(
    'KBS_BODY_TOO_LARGE',
    `reading a request: its body has more than ${limit} bytes`,
  )
}
