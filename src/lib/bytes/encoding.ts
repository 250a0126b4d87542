import { FormatError } from './format-error.ts'

const HEX = /^(?:[0-9a-fA-F]{2})*$/
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const BASE64URL = /^[A-Za-z0-9_-]*$/
const utf8Encoder = new TextEncoder()
const utf8Decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Lower-case hexadecimal. */
export function toHex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex')
}

/** Parses hexadecimal of either case; with `length`, of exactly so many bytes. */
export function fromHex(text: string, field: string, length?: number): Uint8Array<ArrayBuffer> {
  if (!HEX.test(text)) throw new FormatError('FORMAT_INVALID', field, 0, 'is not hexadecimal')
  return checkLength(copy(Buffer.from(text, 'hex')), field, length)
}

/** Base64, standard alphabet, padded. */
export function toBase64(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64')
}

/** Parses padded standard base64 strictly; with `length`, of exactly so many bytes. */
export function fromBase64(text: string, field: string, length?: number): Uint8Array<ArrayBuffer> {
  const bytes = BASE64.test(text) ? Buffer.from(text, 'base64') : undefined
  if (bytes?.toString('base64') !== text) {
    throw new FormatError('FORMAT_INVALID', field, 0, 'is not padded base64')
  }
  return checkLength(copy(bytes), field, length)
}

/** Base64, URL alphabet, no padding. */
export function toBase64Url(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('base64url')
}

/** Parses unpadded URL base64 strictly; with `length`, of exactly so many bytes. */
export function fromBase64Url(
  text: string,
  field: string,
  length?: number,
): Uint8Array<ArrayBuffer> {
  const bytes = BASE64URL.test(text) ? Buffer.from(text, 'base64url') : undefined
  if (bytes?.toString('base64url') !== text) {
    throw new FormatError('FORMAT_INVALID', field, 0, 'is not unpadded base64url')
  }
  return checkLength(copy(bytes), field, length)
}

/** UTF-8 bytes of a string. */
export function utf8(text: string): Uint8Array<ArrayBuffer> {
  return utf8Encoder.encode(text)
}

/** Decodes UTF-8 strictly: bad sequences are an error, a byte order mark stays. */
export function fromUtf8(bytes: Uint8Array, field: string): string {
  try {
    return utf8Decoder.decode(bytes)
  } catch (cause) {
    throw Object.assign(new FormatError('FORMAT_INVALID', field, 0, 'is not UTF-8'), { cause })
  }
}

function checkLength(
  bytes: Uint8Array<ArrayBuffer>,
  field: string,
  length: number | undefined,
): Uint8Array<ArrayBuffer> {
  if (length !== undefined && bytes.length !== length) {
    const found = `has ${bytes.length} bytes, ${length} are needed`
    throw new FormatError('FORMAT_INVALID', field, 0, found)
  }
  return bytes
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function copy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}
