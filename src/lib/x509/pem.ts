import { FormatError, fromBase64, fromUtf8 } from '#lib/bytes'

/** A PEM text of more bytes is not looked at. */
const MAX_PEM_SIZE = 1_048_576

const BLOCK = /-----BEGIN ([A-Z0-9 ]{1,32})-----([A-Za-z0-9+/= \t\r\n]*)-----END \1-----/y
const SPACE = /[ \t\r\n]*/y

/**
 * Splits concatenated PEM blocks of one label, in the order of the text. Only white space may
 * stand between blocks; more than `max` blocks, another label and broken base64 are FormatErrors.
 */
export function splitPem(
  text: string | Uint8Array,
  label: string,
  max: number,
): Uint8Array<ArrayBuffer>[] {
  if (text.length > MAX_PEM_SIZE) {
    throw new FormatError('FORMAT_LIMIT', 'PEM', 0, `is longer than ${MAX_PEM_SIZE}`)
  }
  const source = typeof text === 'string' ? text : fromUtf8(text, 'PEM')
  const blocks: Uint8Array<ArrayBuffer>[] = []
  let at = skip(source, 0)
  while (at < source.length) {
    BLOCK.lastIndex = at
    const match = BLOCK.exec(source)
    if (match === null || match[1] !== label) {
      throw new FormatError('FORMAT_INVALID', 'PEM', at, `a ${label} block is needed here`)
    }
    if (blocks.length === max) {
      throw new FormatError('FORMAT_LIMIT', 'PEM', at, `has over ${max} blocks`)
    }
    blocks.push(fromBase64((match[2] ?? '').replace(/[ \t\r\n]/g, ''), 'PEM block'))
    at = skip(source, BLOCK.lastIndex)
  }
  return blocks
}

/** One PEM block with rows of 64 characters and LF line ends. */
export function encodePem(bytes: Uint8Array, label: string): string {
  const rows =
    Buffer.from(bytes)
      .toString('base64')
      .match(/.{1,64}/g) ?? []
  return `-----BEGIN ${label}-----\n${rows.join('\n')}\n-----END ${label}-----\n`
}

function skip(source: string, at: number): number {
  SPACE.lastIndex = at
  SPACE.exec(source)
  return SPACE.lastIndex
}
