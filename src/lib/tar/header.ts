import { copyOf } from '#lib/bytes'
import { TarError } from './tar-error.ts'

/** Block size: headers are one block, data is padded to whole ones. */
export const BLOCK = 512

const CHECKSUM_AT = 148

/** The fields of one header block, as they stand there. */
export interface RawHeader {
  /** Name with its prefix, bytes up to the first NUL. */
  readonly name: Uint8Array
  readonly linkName: Uint8Array
  /** The type's character; NUL is given as '0'. */
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  readonly mtime: number
  readonly block: Uint8Array
}

/** True for a block of zeros. */
export function isZero(block: Uint8Array): boolean {
  for (const byte of block) if (byte !== 0) return false
  return true
}

/** Parses one header block. Throws `TAR_CHECKSUM` and `TAR_INVALID`. */
export function parseHeader(block: Uint8Array, offset: number): RawHeader {
  verifyChecksum(block, offset)
  const number = (at: number, length: number, field: string): number =>
    parseNumber(block.subarray(at, at + length), field, offset)
  const type = String.fromCharCode(block[156] || 0x30)
  return {
    name: joinPrefix(prefixOf(block), untilNul(block.subarray(0, 100))),
    linkName: copyOf(untilNul(block.subarray(157, 257))),
    type,
    mode: number(100, 8, 'mode'),
    uid: number(108, 8, 'uid'),
    gid: number(116, 8, 'gid'),
    size: number(124, 12, 'size'),
    mtime: number(136, 12, 'mtime'),
    block: copyOf(block),
  }
}

/** Major and minor of a device's header. */
export function parseDevice(header: RawHeader, offset: number): { major: number; minor: number } {
  const major = parseNumber(header.block.subarray(329, 337), 'devmajor', offset)
  const minor = parseNumber(header.block.subarray(337, 345), 'devminor', offset)
  if (!(major >= 0 && major < 2 ** 12 && minor >= 0 && minor < 2 ** 20)) {
    throw new TarError('TAR_INVALID', offset, `device ${major}:${minor} is out of range`)
  }
  return { major, minor }
}

function verifyChecksum(block: Uint8Array, offset: number): void {
  let unsigned = 8 * 0x20
  let signed = unsigned
  for (let at = 0; at < BLOCK; at++) {
    if (at >= CHECKSUM_AT && at < CHECKSUM_AT + 8) continue
    const byte = block[at] as number
    unsigned += byte
    signed += byte < 0x80 ? byte : byte - 0x100
  }
  const claimed = parseNumber(block.subarray(CHECKSUM_AT, CHECKSUM_AT + 8), 'checksum', offset)
  // Some old writers summed signed bytes.
  if (claimed !== unsigned && claimed !== signed) {
    throw new TarError('TAR_CHECKSUM', offset, 'the header checksum does not match')
  }
}

function prefixOf(block: Uint8Array): Uint8Array {
  const magic = Buffer.from(block.subarray(257, 265)).toString('latin1')
  // GNU keeps times where ustar has the prefix; v7 has neither.
  if (!magic.startsWith('ustar\0')) return new Uint8Array(0)
  const isStar = Buffer.from(block.subarray(508, 512)).toString('latin1') === 'tar\0'
  return untilNul(block.subarray(345, isStar ? 476 : 500))
}

function joinPrefix(prefix: Uint8Array, name: Uint8Array): Uint8Array {
  if (prefix.length === 0) return copyOf(name)
  const joined = new Uint8Array(prefix.length + 1 + name.length)
  joined.set(prefix)
  joined[prefix.length] = 0x2f
  joined.set(name, prefix.length + 1)
  return joined
}

/** The bytes before the first NUL. */
export function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** A numeric field: base-256 if its first bit is set, else octal in spaces and NULs; empty is 0. */
function parseNumber(bytes: Uint8Array, field: string, offset: number): number {
  const first = bytes[0] as number
  if (first >= 0x80) return parseBase256(bytes, field, offset)
  let value = 0
  let at = 0
  let end = bytes.length
  while (at < end && (bytes[at] === 0x20 || bytes[at] === 0)) at++
  while (end > at && (bytes[end - 1] === 0x20 || bytes[end - 1] === 0)) end--
  for (; at < end; at++) {
    const digit = (bytes[at] as number) - 0x30
    if (digit < 0 || digit > 7)
      throw new TarError('TAR_INVALID', offset, `${field} is not a number`)
    value = value * 8 + digit
  }
  return value
}

function parseBase256(bytes: Uint8Array, field: string, offset: number): number {
  const first = bytes[0] as number
  const negative = (first & 0x40) !== 0
  let value = BigInt(negative ? first - 0x100 : first & 0x7f)
  for (const byte of bytes.subarray(1)) value = (value << 8n) | BigInt(byte)
  const number = Number(value)
  if (!Number.isSafeInteger(number)) {
    throw new TarError('TAR_INVALID', offset, `${field} is out of range`)
  }
  return number
}
