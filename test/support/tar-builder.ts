import { concat, utf8 } from '#lib/bytes'

/** Fields of a header that tests set; anything goes, also what no writer would make. */
export interface TarFields {
  readonly name?: string | Uint8Array
  readonly type?: string
  readonly link?: string
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: number
  /** Raw text of the size field; default the data's length in octal. */
  readonly size?: string
  readonly data?: Uint8Array | string
  readonly magic?: string
  readonly prefix?: string
  readonly major?: number
  readonly minor?: number
  /** Added to the checksum, to break it. */
  readonly checksumError?: number
}

/** One header with its data, padded. */
export function tarEntry(fields: TarFields): Uint8Array {
  const data =
    typeof fields.data === 'string' ? utf8(fields.data) : (fields.data ?? new Uint8Array(0))
  const block = new Uint8Array(512)
  const put = (at: number, text: string | Uint8Array): void => {
    block.set(typeof text === 'string' ? utf8(text) : text, at)
  }
  const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0')
  put(0, fields.name ?? 'file')
  put(100, octal(fields.mode ?? 0o644, 7))
  put(108, octal(fields.uid ?? 0, 7))
  put(116, octal(fields.gid ?? 0, 7))
  put(124, fields.size ?? octal(data.length, 11))
  put(136, octal(fields.mtime ?? 0, 11))
  put(156, fields.type ?? '0')
  put(157, fields.link ?? '')
  put(257, fields.magic ?? 'ustar\x0000')
  if (fields.major !== undefined) put(329, octal(fields.major, 7))
  if (fields.minor !== undefined) put(337, octal(fields.minor, 7))
  put(345, fields.prefix ?? '')
  sumHeader(block, fields.checksumError)
  return concat(block, data, new Uint8Array((512 - (data.length % 512)) % 512))
}

/** Sets a header block's checksum. */
export function sumHeader(block: Uint8Array, error = 0): void {
  block.fill(0x20, 148, 156)
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, error)
  block.set(utf8(`${sum.toString(8).padStart(6, '0')}\0 `), 148)
}

/** One PAX record. */
export function paxRecord(key: string, value: string | Uint8Array): Uint8Array {
  const rest = concat(utf8(` ${key}=`), typeof value === 'string' ? utf8(value) : value, utf8('\n'))
  let length = rest.length + 1
  while (`${length}`.length + rest.length !== length) length = `${length}`.length + rest.length
  return concat(utf8(`${length}`), rest)
}

/** An `x` header with records. */
export function paxHeader(records: Readonly<Record<string, string | Uint8Array>>): Uint8Array {
  const data = concat(...Object.entries(records).map(([key, value]) => paxRecord(key, value)))
  return tarEntry({ name: 'PaxHeaders/x', type: 'x', data })
}

/** Entries, then the two zero blocks. */
export function tarArchive(...entries: readonly Uint8Array[]): Uint8Array {
  return concat(...entries, new Uint8Array(1024))
}
