import { copyOf, fromUtf8 } from '#lib/bytes'
import { TarError } from './tar-error.ts'

/** An extended attribute of an entry. */
export interface TarXattr {
  readonly name: Uint8Array
  readonly value: Uint8Array
}

/** Modification time. */
export interface TarTime {
  readonly seconds: number
  readonly nanoseconds: number
}

/** What the PAX records of one entry override. */
export interface PaxOverrides {
  readonly path?: Uint8Array
  readonly linkPath?: Uint8Array
  readonly size?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: TarTime
  readonly xattrs: readonly TarXattr[]
}

const SCHILY = 'SCHILY.xattr.'
const LIBARCHIVE = 'LIBARCHIVE.xattr.'

/** Parses the body of an `x` header. Keys that are not ours are ignored. */
export function parsePax(body: Uint8Array, offset: number): PaxOverrides {
  const values = new Map<string, Uint8Array>()
  const xattrs = new Map<string, TarXattr>()
  for (const [key, value] of paxRecords(body, offset)) {
    const name = Buffer.from(key).toString('latin1')
    if (name.startsWith('GNU.sparse.')) {
      throw new TarError('TAR_UNSUPPORTED', offset, 'sparse files are not supported')
    }
    if (name.startsWith(SCHILY)) {
      xattrs.set(name.slice(SCHILY.length), {
        name: key.slice(SCHILY.length),
        value: copyOf(value),
      })
    } else if (name.startsWith(LIBARCHIVE)) {
      const xattr = parseLibarchive(name.slice(LIBARCHIVE.length), value, offset)
      const at = Buffer.from(xattr.name).toString('latin1')
      // libarchive writes both forms; the raw one is what others read.
      if (!xattrs.has(at)) xattrs.set(at, xattr)
    } else {
      values.set(name, value)
    }
  }
  return toOverrides(values, [...xattrs.values()], offset)
}

/** Checks that a body is a sequence of well-formed records. */
export function checkPax(body: Uint8Array, offset: number): void {
  for (const _ of paxRecords(body, offset));
}

function toOverrides(
  values: ReadonlyMap<string, Uint8Array>,
  xattrs: readonly TarXattr[],
  offset: number,
): PaxOverrides {
  const text = (key: string): string | undefined => {
    const value = values.get(key)
    return value === undefined || value.length === 0 ? undefined : asText(value, key, offset)
  }
  const path = (key: string): Uint8Array | undefined => {
    const value = values.get(key)
    if (value?.includes(0)) throw invalid(offset, `PAX ${key} holds a NUL`)
    return value === undefined || value.length === 0 ? undefined : copyOf(value)
  }
  const integer = (key: string): number | undefined => {
    const value = text(key)
    if (value === undefined) return undefined
    if (!/^[0-9]{1,16}$/.test(value) || !Number.isSafeInteger(Number(value))) {
      throw invalid(offset, `PAX ${key} is not a number in range`)
    }
    return Number(value)
  }
  const mtime = text('mtime')
  return defined({
    path: path('path'),
    linkPath: path('linkpath'),
    size: integer('size'),
    uid: integer('uid'),
    gid: integer('gid'),
    mtime: mtime === undefined ? undefined : parseTime(mtime, offset),
    xattrs,
  })
}

/** `"<length> <key>=<value>\n"`, the length counting itself. */
function* paxRecords(
  body: Uint8Array,
  offset: number,
): Generator<[key: Uint8Array, value: Uint8Array], void, undefined> {
  let at = 0
  while (at < body.length) {
    const space = body.indexOf(0x20, at)
    const digits = space < 0 ? '' : Buffer.from(body.subarray(at, space)).toString('latin1')
    if (!/^[0-9]{1,7}$/.test(digits)) throw invalid(offset, 'a PAX record has no length')
    const end = at + Number(digits)
    if (end > body.length || end - 1 <= space || body[end - 1] !== 0x0a) {
      throw invalid(offset, 'a PAX record has a wrong length')
    }
    const equals = body.indexOf(0x3d, space + 1)
    if (equals <= space + 1 || equals >= end) throw invalid(offset, 'a PAX record has no key')
    yield [body.subarray(space + 1, equals), body.subarray(equals + 1, end - 1)]
    at = end
  }
}

/** Decimal seconds with an optional fraction; digits after the ninth are cut. */
function parseTime(text: string, offset: number): TarTime {
  const match = /^(-?)([0-9]{1,16})(?:\.([0-9]*))?$/.exec(text)
  const whole = Number(match?.[2])
  if (match === null || !Number.isSafeInteger(whole)) throw invalid(offset, 'PAX mtime is no time')
  const fraction = Number((match[3] ?? '').padEnd(9, '0').slice(0, 9))
  if (match[1] === '') return { seconds: whole, nanoseconds: fraction }
  return fraction === 0
    ? { seconds: -whole + 0, nanoseconds: 0 }
    : { seconds: -whole - 1, nanoseconds: 1e9 - fraction }
}

function parseLibarchive(encodedName: string, value: Uint8Array, offset: number): TarXattr {
  const text = asText(value, 'xattr', offset).replace(/=+$/, '')
  const bytes = Buffer.from(text, 'base64')
  const isBase64 = bytes.toString('base64').replace(/=+$/, '') === text
  if (!isBase64 || /%(?![0-9a-fA-F]{2})/.test(encodedName)) {
    throw invalid(offset, 'a LIBARCHIVE.xattr record is not encoded as it should be')
  }
  const name = encodedName.replace(/%(..)/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  )
  return { name: new Uint8Array(Buffer.from(name, 'latin1')), value: new Uint8Array(bytes) }
}

function asText(value: Uint8Array, key: string, offset: number): string {
  try {
    return fromUtf8(value, key)
  } catch {
    throw invalid(offset, `PAX ${key} is not UTF-8`)
  }
}

function defined(
  overrides: {
    readonly [K in keyof PaxOverrides]: PaxOverrides[K] | undefined
  },
): PaxOverrides {
  const entries = Object.entries(overrides).filter(([, value]) => value !== undefined)
  return Object.fromEntries(entries) as unknown as PaxOverrides
}

function invalid(offset: number, found: string): TarError {
  return new TarError('TAR_INVALID', offset, found)
}
