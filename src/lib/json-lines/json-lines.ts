import { FormatError, fromUtf8, utf8 } from '#lib/bytes'
import { type JsonValue, parseJson } from '#lib/json'

/** One value as a line of JSON. */
export function jsonLine(value: unknown): Uint8Array<ArrayBuffer> {
  return utf8(`${JSON.stringify(value)}\n`)
}

/**
 * Splits a stream into lines of JSON. A line over `maxLine` bytes is an error; a last line without a
 * newline was cut off and is dropped.
 */
export async function* jsonLines(
  source: AsyncIterable<Uint8Array>,
  maxLine: number,
): AsyncGenerator<JsonValue> {
  let rest: Uint8Array = new Uint8Array(0)
  for await (const chunk of source) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    for (let end = bytes.indexOf(10); end !== -1; end = bytes.indexOf(10)) {
      if (end > maxLine) break
      yield parseJson(fromUtf8(bytes.subarray(0, end), 'line'), { maxBytes: maxLine })
      bytes = bytes.subarray(end + 1)
    }
    if (bytes.length > maxLine) {
      throw new FormatError('FORMAT_LIMIT', 'line', 0, `is over ${maxLine} bytes`)
    }
    rest = bytes
  }
}
