import { concat } from '#lib/bytes'
import type { HttpResponse } from './transport.ts'

/** The value of a header; of one that came several times, the first. */
export function header(response: HttpResponse, name: string): string | undefined {
  return headers(response, name)[0]
}

/** All values of a header, in order. */
export function headers(response: HttpResponse, name: string): readonly string[] {
  const value = Object.hasOwn(response.headers, name) ? response.headers[name] : undefined
  if (value === undefined) return []
  return typeof value === 'string' ? [value] : value
}

/** The media type of the answer: `Content-Type` without parameters, in lower case; '' if none. */
export function contentType(response: HttpResponse): string {
  return (header(response, 'content-type') ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? ''
}

/**
 * Reads a body of at most `max` bytes, counted while it comes; `undefined` as soon as it is
 * longer. `Content-Length` is not believed.
 */
export async function readBody(
  response: HttpResponse,
  max: number,
): Promise<Uint8Array<ArrayBuffer> | undefined> {
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of response.body) {
    size += chunk.length
    if (size > max) return undefined
    chunks.push(chunk)
  }
  return concat(...chunks)
}

/** Reads at most 64 KiB of a body nobody wants, so that the connection can serve again. */
export async function discard(response: HttpResponse): Promise<void> {
  try {
    let size = 0
    for await (const chunk of response.body) {
      size += chunk.length
      if (size > 65_536) return
    }
  } catch {
    // The answer was not wanted; that it broke off does not matter.
  }
}
