import { equalBytes } from '#lib/bytes'
import { ByteSource, type Pieces } from './byte-source.ts'
import { BLOCK, isZero, parseDevice, parseHeader, type RawHeader, untilNul } from './header.ts'
import { checkPax, type PaxOverrides, parsePax, type TarTime, type TarXattr } from './pax.ts'
import { TarError } from './tar-error.ts'

/** Body of an `x`, `g`, `L` or `K` header: at most 1 MiB, checked before it is read. */
const MAX_METADATA: number = 2 ** 20

/** Kinds of entries. */
export type TarType = 'file' | 'hardlink' | 'symlink' | 'char' | 'block' | 'directory' | 'fifo'

/** One entry; names are bytes as the archive has them, not normalised. */
export interface TarEntry {
  readonly type: TarType
  readonly path: Uint8Array
  /** Hard links and symlinks; empty otherwise. */
  readonly linkPath: Uint8Array
  /** Permission bits, 0 to 07777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: TarTime
  /** Bytes of `content`; 0 for all but files. */
  readonly size: number
  /** Devices; 0 otherwise. */
  readonly major: number
  readonly minor: number
  readonly xattrs: readonly TarXattr[]
  /**
   * The file's bytes, in views that are valid until the next is asked for. To be read, if at
   * all, before the next entry is asked for.
   */
  readonly content: AsyncIterable<Uint8Array>
}

/** Limits of `readTar`. */
export interface TarLimits {
  /** Entries in the archive; default 1,000,000. */
  readonly maxEntries?: number
}

/**
 * Reads an archive to the end of its stream, past the two zero blocks. Throws TarError, see
 * docs/formats/tar.md. Memory: one metadata header (1 MiB) and the caller's piece.
 */
export async function* readTar(
  pieces: Pieces,
  limits: TarLimits = {},
): AsyncGenerator<TarEntry, void, undefined> {
  const source = new ByteSource(pieces)
  let ended = false
  try {
    const maxEntries = limits.maxEntries ?? 1_000_000
    let count = 0
    for (;;) {
      const next = await readEntryHeader(source)
      if (next === undefined) break
      if (++count > maxEntries) {
        throw new TarError('TAR_LIMIT', next.offset, `it has more than ${maxEntries} entries`)
      }
      const body = new EntryBody(source, next.dataLength)
      yield { ...next.entry, content: body }
      await body.skipRest()
    }
    for (;;) {
      const piece = source.ready(65_536) ?? (await source.some(65_536))
      if (piece === undefined) break
      if (!isZero(piece)) throw new TarError('TAR_TRAILING', source.offset, 'data follows its end')
    }
    ended = true
  } finally {
    if (!ended) await source.close()
  }
}

/** The data of one entry: read once, or skipped. */
class EntryBody implements AsyncIterable<Uint8Array> {
  readonly #source: ByteSource
  #left: number
  readonly #padding: number

  constructor(source: ByteSource, length: number) {
    this.#source = source
    this.#left = length
    this.#padding = (BLOCK - (length % BLOCK)) % BLOCK
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array, void, undefined> {
    while (this.#left > 0) {
      const piece = this.#source.ready(this.#left) ?? (await this.#source.some(this.#left))
      if (piece === undefined) throw this.#source.truncated()
      this.#left -= piece.length
      yield piece
    }
  }

  async skipRest(): Promise<void> {
    const length = this.#left + this.#padding
    this.#left = 0
    if (length > 0) await this.#source.skip(length)
  }
}

interface NextEntry {
  readonly entry: Omit<TarEntry, 'content'>
  readonly dataLength: number
  readonly offset: number
}

async function readEntryHeader(source: ByteSource): Promise<NextEntry | undefined> {
  let pax: PaxOverrides | undefined
  let longName: Uint8Array | undefined
  let longLink: Uint8Array | undefined
  for (;;) {
    const offset = source.offset
    const taken = source.take(BLOCK)
    const block = taken instanceof Promise ? await taken : taken
    if (isZero(block)) {
      if (pax ?? longName ?? longLink) throw invalid(offset, 'it ends where an entry must follow')
      const second = await source.take(BLOCK)
      if (!isZero(second)) throw invalid(offset, 'a lone zero block stands in it')
      return undefined
    }
    const header = parseHeader(block, offset)
    switch (header.type) {
      case 'x':
        if (pax !== undefined) throw invalid(offset, 'two PAX headers stand before one entry')
        pax = parsePax(await readMetadata(source, header, offset), offset)
        break
      case 'g':
        checkPax(await readMetadata(source, header, offset), offset)
        break
      case 'L':
        if (longName !== undefined) throw invalid(offset, 'two long names stand before one entry')
        longName = untilNul(await readMetadata(source, header, offset))
        break
      case 'K':
        if (longLink !== undefined) throw invalid(offset, 'two long links stand before one entry')
        longLink = untilNul(await readMetadata(source, header, offset))
        break
      default:
        return toEntry(header, { pax, longName, longLink }, offset)
    }
  }
}

async function readMetadata(
  source: ByteSource,
  header: RawHeader,
  offset: number,
): Promise<Uint8Array> {
  const { size } = header
  if (size < 0) throw invalid(offset, 'a size is negative')
  if (size > MAX_METADATA) {
    throw new TarError('TAR_LIMIT', offset, `a metadata header has ${size} bytes`)
  }
  const body = Uint8Array.from(await source.take(size))
  await source.skip((BLOCK - (size % BLOCK)) % BLOCK)
  return body
}

interface Overrides {
  readonly pax: PaxOverrides | undefined
  readonly longName: Uint8Array | undefined
  readonly longLink: Uint8Array | undefined
}

function toEntry(header: RawHeader, overrides: Overrides, offset: number): NextEntry {
  const { pax } = overrides
  const path = strongest(pax?.path, overrides.longName, header.name, offset)
  const linkPath = strongest(pax?.linkPath, overrides.longLink, header.linkName, offset)
  const type = typeOf(header.type, path, offset)
  // One size rule for all of the reader: PAX, then the header; only these types have data.
  const hasData = header.type === '0' || header.type === '7'
  const size = hasData ? (pax?.size ?? header.size) : 0
  if (size < 0) throw invalid(offset, 'a size is negative')
  const isLink = type === 'hardlink' || type === 'symlink'
  const isDevice = type === 'char' || type === 'block'
  const { major, minor } = isDevice ? parseDevice(header, offset) : { major: 0, minor: 0 }
  return {
    offset,
    dataLength: size,
    entry: {
      type,
      path,
      linkPath: isLink ? linkPath : new Uint8Array(0),
      mode: header.mode & 0o7777,
      uid: identity(pax?.uid ?? header.uid, 'uid', offset),
      gid: identity(pax?.gid ?? header.gid, 'gid', offset),
      mtime: pax?.mtime ?? { seconds: header.mtime, nanoseconds: 0 },
      size: type === 'file' ? size : 0,
      major,
      minor,
      xattrs: pax?.xattrs ?? [],
    },
  }
}

function strongest(
  pax: Uint8Array | undefined,
  gnu: Uint8Array | undefined,
  field: Uint8Array,
  offset: number,
): Uint8Array {
  // Readers disagree about which one wins, so an archive must not depend on it.
  if (pax !== undefined && gnu !== undefined && !equalBytes(pax, gnu)) {
    throw invalid(offset, 'a PAX path and a GNU long name differ')
  }
  return pax ?? gnu ?? field
}

const TYPES: Readonly<Record<string, TarType>> = {
  '0': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
  '7': 'file',
}

function typeOf(flag: string, path: Uint8Array, offset: number): TarType {
  const type = Object.hasOwn(TYPES, flag) ? TYPES[flag] : undefined
  if (type === undefined) {
    const what = flag === 'S' ? 'sparse files are' : `entry type ${JSON.stringify(flag)} is`
    throw new TarError('TAR_UNSUPPORTED', offset, `${what} not supported`)
  }
  // v7 had no type for directories.
  return type === 'file' && path.at(-1) === 0x2f ? 'directory' : type
}

function identity(value: number, field: string, offset: number): number {
  if (value < 0 || value > 0xfffffffe) throw invalid(offset, `${field} is out of range`)
  return value
}

function invalid(offset: number, found: string): TarError {
  return new TarError('TAR_INVALID', offset, found)
}
