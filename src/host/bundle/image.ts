import { createHash } from 'node:crypto'
import { closeSync, openSync, readFileSync, readSync, statSync, writeSync } from 'node:fs'
import { toHex } from '#lib/bytes'
import { createErofsWriter, type ErofsSource, readErofs } from '#lib/erofs'
import type { ContentEntry } from './contents.ts'

/** A file of a bundle image. */
export interface ImageFile {
  readonly path: string
  /** Hex; of the file's bytes, or of a symlink's target. */
  readonly sha256: string
  readonly size: number
}

const S_IFMT = 0o170000
const S_IFREG = 0o100000
const S_IFLNK = 0o120000
const PIECE = 1024 * 1024

/** Writes an image with these entries, all owned by root and of one time. Throws the signal's reason. */
export async function writeImage(
  file: string,
  entries: readonly ContentEntry[],
  mtime: number,
  signal?: AbortSignal,
): Promise<void> {
  const fd = openSync(file, 'wx', 0o644)
  try {
    let at = 0
    const put = (bytes: Uint8Array, offset: number): void => {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(fd, bytes, done, bytes.length - done, offset + done)
      }
    }
    const writer = createErofsWriter({
      sink: {
        append(bytes) {
          put(bytes, at)
          at += bytes.length
        },
        rewrite: (offset, bytes) => put(bytes, offset),
      },
    })
    const common = { uid: 0, gid: 0, mtime: { seconds: mtime, nanoseconds: 0 } }
    for (const entry of entries) {
      // writing is synchronous: only a pause lets a signal of the system reach us
      if (entry.kind === 'file') await new Promise((resolve) => setImmediate(resolve))
      signal?.throwIfAborted()
      if (entry.kind === 'directory')
        writer.addDirectory(entry.path, { ...common, mode: entry.mode })
      else if (entry.kind === 'symlink') await writer.addSymlink(entry.path, entry.target, common)
      else {
        const bytes = typeof entry.source === 'string' ? readFileSync(entry.source) : entry.source
        await writer.addFile(entry.path, { ...common, mode: entry.mode }, bytes.length, bytes)
      }
    }
    await writer.finish()
  } finally {
    closeSync(fd)
  }
}

/** Lists an image's files and symlinks in path order, after checking the whole image. Throws ErofsError. */
export function listImage(file: string): readonly ImageFile[] {
  using source = openSource(file)
  const files: ImageFile[] = []
  for (const entry of readErofs(source)) {
    const kind = entry.mode & S_IFMT
    if (kind !== S_IFREG && kind !== S_IFLNK) continue
    const hash = createHash('sha256')
    for (let at = 0; at < entry.size; at += PIECE) {
      hash.update(entry.content(at, Math.min(PIECE, entry.size - at)))
    }
    const path = `/${Buffer.from(entry.path).toString('utf8')}`
    files.push({ path, sha256: hash.digest('hex'), size: entry.size })
  }
  return files.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** SHA-256 (hex) and size of a file. */
export function hashFile(file: string): { readonly sha256: string; readonly size: number } {
  const hash = createHash('sha256')
  const fd = openSync(file, 'r')
  try {
    const piece = Buffer.allocUnsafe(PIECE)
    let size = 0
    for (let count = readSync(fd, piece); count > 0; count = readSync(fd, piece)) {
      hash.update(piece.subarray(0, count))
      size += count
    }
    return { sha256: toHex(hash.digest()), size }
  } finally {
    closeSync(fd)
  }
}

function openSource(file: string): ErofsSource & Disposable {
  const fd = openSync(file, 'r')
  return {
    size: statSync(file).size,
    read(offset, length) {
      const bytes = Buffer.allocUnsafe(length)
      for (let at = 0; at < length; ) {
        const count = readSync(fd, bytes, at, length - at, offset + at)
        if (count === 0) throw new Error(`${file} ends before byte ${offset + length}`)
        at += count
      }
      return bytes
    },
    [Symbol.dispose]: () => closeSync(fd),
  }
}
