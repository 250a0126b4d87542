import { compareBytes, concat, utf8 } from '#lib/bytes'
import { ErofsError } from './erofs-error.ts'
import { MAX_XATTRS } from './format.ts'
import { quote } from './path.ts'

/** One extended attribute: full name (`user.x`, as bytes or UTF-8 text) and value. */
export interface Xattr {
  readonly name: Uint8Array | string
  readonly value: Uint8Array
}

/** Bytes before the first entry: name_filter 4 + shared_count 1 + reserved 7. */
export const XATTR_HEADER = 12

/** Prefixes that the on-disk index replaces; `whole` ones take no rest. */
const PREFIXES: readonly { index: number; prefix: Uint8Array; whole: boolean }[] = [
  { index: 1, prefix: utf8('user.'), whole: false },
  { index: 2, prefix: utf8('system.posix_acl_access'), whole: true },
  { index: 3, prefix: utf8('system.posix_acl_default'), whole: true },
  { index: 4, prefix: utf8('trusted.'), whole: false },
  { index: 6, prefix: utf8('security.'), whole: false },
]

/** The attribute that makes a directory of an overlay hide what lies below it. */
export const OPAQUE: Xattr = { name: 'trusted.overlay.opaque', value: utf8('y') }

/**
 * The xattr body that follows an inode; empty for no attributes. Sorted by full name. Throws
 * ErofsError `EROFS_XATTR` for a name twice or of no known prefix, `EROFS_LIMIT` above 64 KiB.
 */
export function encodeXattrs(xattrs: readonly Xattr[]): Uint8Array {
  if (xattrs.length === 0) return new Uint8Array(0)
  const named = xattrs
    .map(({ name, value }) => ({ name: typeof name === 'string' ? utf8(name) : name, value }))
    .sort((a, b) => compareBytes(a.name, b.name))
  const parts: Uint8Array[] = [new Uint8Array(XATTR_HEADER)]
  let previous: Uint8Array | undefined
  let length = XATTR_HEADER
  for (const { name, value } of named) {
    if (previous !== undefined && compareBytes(previous, name) === 0) {
      throw new ErofsError('EROFS_XATTR', `attribute ${quote(name)} is given twice`)
    }
    previous = name
    const entry = encodeEntry(name, value)
    length += entry.length
    if (length > MAX_XATTRS) {
      throw new ErofsError('EROFS_LIMIT', `attributes of one entry: above ${MAX_XATTRS} bytes`)
    }
    parts.push(entry)
  }
  return concat(...parts)
}

/** Reads a body that `encodeXattrs` wrote; undefined for any other. */
export function decodeXattrs(body: Uint8Array): Xattr[] | undefined {
  if (body.length === 0) return []
  const view = new DataView(body.buffer, body.byteOffset, body.byteLength)
  const found: Xattr[] = []
  let at = XATTR_HEADER
  while (at + 4 <= body.length) {
    const nameLength = view.getUint8(at)
    const valueLength = view.getUint16(at + 2, true)
    const prefix = PREFIXES.find(({ index }) => index === view.getUint8(at + 1))?.prefix
    const end = at + 4 + nameLength + valueLength
    if (prefix === undefined || end > body.length) return undefined
    const name = concat(prefix, body.subarray(at + 4, at + 4 + nameLength))
    found.push({ name, value: body.slice(at + 4 + nameLength, end) })
    at = end + pad4(end)
  }
  try {
    return compareBytes(encodeXattrs(found), body) === 0 ? found : undefined
  } catch {
    return undefined
  }
}

/** The body with the overlay's opaque attribute added; unchanged if it stands there. */
export function withOpaque(body: Uint8Array): Uint8Array {
  const xattrs = decodeXattrs(body) ?? []
  const name = utf8(OPAQUE.name as string)
  const others = xattrs.filter((xattr) => compareBytes(xattr.name as Uint8Array, name) !== 0)
  return encodeXattrs([...others, OPAQUE])
}

function encodeEntry(name: Uint8Array, value: Uint8Array): Uint8Array {
  const known = PREFIXES.find(({ prefix, whole }) => {
    const starts = compareBytes(name.subarray(0, prefix.length), prefix) === 0
    return starts && (whole ? name.length === prefix.length : name.length > prefix.length)
  })
  if (known === undefined || name.includes(0)) {
    throw new ErofsError('EROFS_XATTR', `attribute ${quote(name)} has no prefix that EROFS stores`)
  }
  const rest = name.subarray(known.prefix.length)
  if (rest.length > 255 || value.length > 65_535) {
    throw new ErofsError('EROFS_LIMIT', `attribute ${quote(name)}: name or value too long`)
  }
  const length = 4 + rest.length + value.length
  const entry = new Uint8Array(length + pad4(length))
  new DataView(entry.buffer).setUint16(2, value.length, true)
  entry[0] = rest.length
  entry[1] = known.index
  entry.set(rest, 4)
  entry.set(value, 4 + rest.length)
  return entry
}

function pad4(length: number): number {
  return (4 - (length % 4)) % 4
}
