import {
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
} from 'node:fs'
import { join } from 'node:path'
import { equalBytes, toHex } from '#lib/bytes'
import { cacheFileKind, parseRecord, RECORD_LENGTH } from '#lib/cache'
import { HEADER_BLOCK, parseHeaderBlock, sealedLayout } from '#lib/sealed'
import { tryLockOpenFile } from '#platform/lock'

/** A regular file of the cache folder. */
export interface KeptFile {
  /** Its name in the folder. */
  readonly file: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds since 1970. */
  readonly modified: number
}

/** A record and the data that it names; either may be damaged. */
export interface KeptRecord extends KeptFile {
  readonly name: string
  /** Hex; undefined where the record has not the shape of one. */
  readonly fileId: string | undefined
}

/** What lies in the cache folder, by its names. */
export interface LayerFolder {
  readonly records: readonly KeptRecord[]
  /** By fileId in hex. */
  readonly data: ReadonlyMap<string, KeptFile>
  readonly unfinished: readonly KeptFile[]
  /** Names that are none of ours, and ours where there is no regular file. */
  readonly unknown: readonly string[]
}

/** Reads the folder and its records; none where there is no folder. Throws errno errors. */
export function readLayerFolder(folder: string): LayerFolder {
  const records: KeptRecord[] = []
  const data = new Map<string, KeptFile>()
  const unfinished: KeptFile[] = []
  const unknown: string[] = []
  for (const file of namesIn(folder)) {
    const stat = lstatSync(join(folder, file), { throwIfNoEntry: false })
    if (stat === undefined) continue
    const kind = stat.isFile() ? cacheFileKind(file) : undefined
    const kept: KeptFile = { file, size: stat.size, modified: stat.mtimeMs }
    if (kind === undefined) unknown.push(file)
    else if (kind.kind === 'unfinished') unfinished.push(kept)
    else if (kind.kind === 'data') data.set(toHex(kind.fileId), kept)
    else records.push({ ...kept, name: kind.name, fileId: fileIdOf(join(folder, file)) })
  }
  return { records, data, unfinished, unknown }
}

/** What the names and sizes in the folder say; no file is opened for this. */
export interface FolderSize {
  readonly records: number
  /** Bytes of all files. */
  readonly size: number
  readonly unfinished: number
}

/** Adds up the folder. */
export function measureLayerFolder(folder: string): FolderSize {
  let [records, size, unfinished] = [0, 0, 0]
  for (const file of namesIn(folder)) {
    size += lstatSync(join(folder, file), { throwIfNoEntry: false })?.size ?? 0
    const kind = cacheFileKind(file)?.kind
    if (kind === 'record') records++
    if (kind === 'unfinished') unfinished++
  }
  return { records, size, unfinished }
}

/** The fileId in a record's clear part; undefined where it is not a record, or gone. */
export function fileIdOf(path: string): string | undefined {
  try {
    return toHex(parseRecord(readStart(path, RECORD_LENGTH + 1)).fileId)
  } catch {
    return undefined
  }
}

/**
 * What is wrong with a sealed file, as far as that can be seen without its key: header, its padding,
 * fileId against the name, and the file's length. Tags and chunks are not looked at.
 */
export function dataProblem(folder: string, fileId: string, kept: KeptFile): string | undefined {
  try {
    const header = parseHeaderBlock(readStart(join(folder, kept.file), HEADER_BLOCK))
    if (toHex(header.fileId) !== fileId) return 'its header names another file'
    if (equalBytes(header.layerId, new Uint8Array(32))) return 'its header names no layer'
    const { fileLength } = sealedLayout(header)
    if (kept.size !== fileLength) return `it has ${kept.size} bytes instead of ${fileLength}`
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** A file that nobody uses, and that nobody begins to use before this is disposed of. */
export function holdUnused(path: string): Disposable | undefined {
  let fd: number
  try {
    fd = openPlain(path)
  } catch {
    return undefined
  }
  if (tryLockOpenFile(fd, path, 'exclusive')) return { [Symbol.dispose]: () => closeSync(fd) }
  closeSync(fd)
  return undefined
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

function openPlain(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
}

function readStart(path: string, length: number): Uint8Array {
  const fd = openPlain(path)
  try {
    if (!fstatSync(fd).isFile()) throw new Error('it is not a regular file')
    const bytes = new Uint8Array(length)
    let got = 0
    while (got < length) {
      const count = readSync(fd, bytes, got, length - got, got)
      if (count === 0) break
      got += count
    }
    return bytes.subarray(0, got)
  } finally {
    closeSync(fd)
  }
}
