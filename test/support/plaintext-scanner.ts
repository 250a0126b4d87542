import { execFileSync } from 'node:child_process'
import {
  closeSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, zstdDecompressSync } from 'node:zlib'
import { readErofs } from '#lib/erofs'

const PIECE = 8 * 1024 * 1024
const MAX_EXPANDED = 1024 * 1024 * 1024

/** Where a marker was found. */
export interface Finding {
  readonly file: string
  /** How it was found: `raw`, or what had to be undone, e.g. `gzip`, `erofs:/etc/x`. */
  readonly how: string
}

/**
 * Looks for a marker (or any of several) in every file below the folders: as it is, inside gzip and zstd, and in the files of
 * EROFS images. A marker that compression hides is not hidden from this.
 */
export function scanForMarker(
  folders: readonly string[],
  marker: string | Uint8Array | readonly Uint8Array[],
): readonly Finding[] {
  const needles = new Needles(
    Array.isArray(marker) ? (marker as readonly Uint8Array[]) : [Buffer.from(marker as Uint8Array)],
  )
  return folders.flatMap((folder) => filesBelow(folder).flatMap((file) => scanFile(file, needles)))
}

/** Texts that are looked for at once. */
class Needles {
  readonly #all: readonly Buffer[]
  /** Bytes of the longest. */
  readonly length: number

  constructor(all: readonly Uint8Array[]) {
    this.#all = all.map((bytes) => Buffer.from(bytes))
    this.length = Math.max(...all.map(({ length }) => length))
  }

  /** Whether any of them stands in these bytes. */
  in(bytes: Buffer): boolean {
    return this.#all.some((needle) => bytes.includes(needle))
  }
}

/** Every regular file below a folder, or the file itself; a folder that is not there has none. */
export function filesBelow(folder: string): readonly string[] {
  try {
    if (statSync(folder).isFile()) return [folder]
    return readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
      .sort()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function scanFile(file: string, needles: Needles): readonly Finding[] {
  const head = readAt(file, 0, 2048)
  if (rawContains(file, needles)) return [{ file, how: 'raw' }]
  return scanBytes(file, head, () => readAt(file, 0, statSync(file).size), needles)
}

function scanBytes(
  file: string,
  head: Buffer,
  all: () => Buffer,
  needles: Needles,
  prefix = '',
): readonly Finding[] {
  const expanded = expand(head, all)
  if (expanded !== undefined) {
    if (needles.in(expanded.bytes)) return [{ file, how: prefix + expanded.how }]
    return scanErofs(file, expanded.bytes, needles, `${prefix}${expanded.how}+`)
  }
  return isErofs(head) ? scanErofs(file, all(), needles, prefix) : []
}

function expand(head: Buffer, all: () => Buffer): { bytes: Buffer; how: string } | undefined {
  try {
    if (head.readUInt16LE(0) === 0x8b1f) {
      return { bytes: gunzipSync(all(), { maxOutputLength: MAX_EXPANDED }), how: 'gzip' }
    }
    if (head.readUInt32LE(0) === 0xfd2fb528) {
      return { bytes: zstdDecompressSync(all(), { maxOutputLength: MAX_EXPANDED }), how: 'zstd' }
    }
  } catch {
    // two bytes of chance are no gzip
  }
  return undefined
}

function isErofs(bytes: Buffer): boolean {
  return bytes.length >= 1028 && bytes.readUInt32LE(1024) === 0xe0f5e1e2
}

function scanErofs(
  file: string,
  image: Buffer,
  needles: Needles,
  prefix: string,
): readonly Finding[] {
  if (!isErofs(image)) return needles.in(image) ? [{ file, how: `${prefix}raw` }] : []
  const source = {
    size: image.length,
    read: (offset: number, length: number) => image.subarray(offset, offset + length),
  }
  const found: Finding[] = []
  try {
    for (const entry of readErofs(source)) {
      if ((entry.mode & 0o170000) !== 0o100000 || entry.size === 0) continue
      const content = Buffer.from(entry.content(0, entry.size))
      const how = `${prefix}erofs:/${Buffer.from(entry.path).toString()}`
      if (needles.in(content)) found.push({ file, how })
      else found.push(...scanBytes(file, content, () => content, needles, `${how}+`))
    }
  } catch {
    // an image of another writer, perhaps compressed: its own tool reads it
    return scanExtracted(file, image, needles, prefix)
  }
  return found
}

function scanExtracted(
  file: string,
  image: Buffer,
  needles: Needles,
  prefix: string,
): readonly Finding[] {
  const temporary = mkdtempSync(join(tmpdir(), 'enclave-cc-scan-'))
  try {
    const [copy, out] = [join(temporary, 'image'), join(temporary, 'out')]
    writeFileSync(copy, image)
    // what cannot be read must not pass for empty
    execFileSync('fsck.erofs', [`--extract=${out}`, copy], { stdio: ['ignore', 'ignore', 'pipe'] })
    return filesBelow(out)
      .flatMap((inner) => scanFile(inner, needles))
      .map(({ file: inner, how }) => ({
        file,
        how: `${prefix}erofs:${inner.slice(out.length)} ${how}`,
      }))
  } finally {
    rmSync(temporary, { recursive: true, force: true })
  }
}

function rawContains(file: string, needles: Needles): boolean {
  const fd = openSync(file, 'r')
  try {
    const buffer = Buffer.allocUnsafe(PIECE + needles.length)
    let kept = 0
    for (;;) {
      const count = readSync(fd, buffer, kept, PIECE, null)
      if (count === 0) return false
      const filled = kept + count
      if (needles.in(buffer.subarray(0, filled))) return true
      // a marker may lie across two pieces
      kept = Math.min(needles.length - 1, filled)
      buffer.copy(buffer, 0, filled - kept, filled)
    }
  } finally {
    closeSync(fd)
  }
}

function readAt(file: string, offset: number, length: number): Buffer {
  const fd = openSync(file, 'r')
  try {
    const bytes = Buffer.alloc(length)
    return bytes.subarray(0, readSync(fd, bytes, 0, length, offset))
  } finally {
    closeSync(fd)
  }
}
