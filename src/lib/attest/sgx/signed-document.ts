import { equalBytes, FormatError, fromHex, utf8 } from '#lib/bytes'
import { object, parseJson, string } from '#lib/json'

/** Intel's largest TCB info has 20 kB. */
const MAX_DOCUMENT_SIZE = 1_048_576

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COLON = 0x3a
const OPEN = [0x7b, 0x5b]
const CLOSE = [0x7d, 0x5d]

/** A body `{"NAME":<value>,"signature":"<128 hex>"}`, cut into its two parts. */
export interface SignedDocument {
  /** The bytes of the value exactly as received: what was signed, and what is interpreted. */
  readonly signed: Uint8Array
  /** r‖s, 64 bytes. */
  readonly signature: Uint8Array
}

/**
 * Cuts the signed value out of a body without re-serialising it, so that the bytes verified are
 * the bytes parsed. The whole body must be strict JSON (no member twice, at any depth) with
 * exactly these two members. Throws FormatError.
 */
export function cutSignedDocument(body: Uint8Array, member: string): SignedDocument {
  const document = object(
    parseJson(body, { maxBytes: MAX_DOCUMENT_SIZE, name: member }),
    `${member} document`,
    [member, 'signature'],
  )
  object(document[member], member)
  const signature = fromHex(string(document.signature, 'signature'), 'signature', 64)
  return { signed: sliceValue(body, utf8(`"${member}"`), member), signature }
}

/**
 * Finds the value of a top-level member in JSON that has been parsed already. The name must be
 * spelled without escapes. Bytes above 0x7f never look like structure in UTF-8.
 */
function sliceValue(body: Uint8Array, name: Uint8Array, member: string): Uint8Array {
  let depth = 0
  for (let at = 0; at < body.length; at++) {
    const byte = body[at] ?? 0
    if (OPEN.includes(byte)) depth++
    else if (CLOSE.includes(byte)) depth--
    else if (byte === QUOTE) {
      const end = stringEnd(body, at)
      const next = skipSpace(body, end)
      if (depth === 1 && body[next] === COLON && equalBytes(body.subarray(at, end), name)) {
        const start = skipSpace(body, next + 1)
        return body.subarray(start, valueEnd(body, start))
      }
      at = end - 1
    }
  }
  throw new FormatError('FORMAT_INVALID', member, 0, 'is not spelled literally')
}

/** Index after the object that starts at `start`. */
function valueEnd(body: Uint8Array, start: number): number {
  let depth = 0
  for (let at = start; at < body.length; at++) {
    const byte = body[at] ?? 0
    if (byte === QUOTE) at = stringEnd(body, at) - 1
    else if (OPEN.includes(byte)) depth++
    else if (CLOSE.includes(byte) && --depth === 0) return at + 1
  }
  throw new FormatError('FORMAT_TRUNCATED', 'signed value', start, 'has no end')
}

/** Index after the string that starts at `start`. */
function stringEnd(body: Uint8Array, start: number): number {
  for (let at = start + 1; at < body.length; at++) {
    const byte = body[at]
    if (byte === BACKSLASH) at++
    else if (byte === QUOTE) return at + 1
  }
  throw new FormatError('FORMAT_TRUNCATED', 'string', start, 'has no end')
}

function skipSpace(body: Uint8Array, start: number): number {
  let at = start
  while ([0x20, 0x09, 0x0a, 0x0d].includes(body[at] ?? 0)) at++
  return at
}
