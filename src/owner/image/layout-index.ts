import { randomBytes } from 'node:crypto'
import { constants, type FileHandle, open, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { toHex, utf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { object, parseJson, string } from '#lib/json'
import {
  type Descriptor,
  encodeManifest,
  type ImageIndex,
  MAX_MANIFEST_SIZE,
  MEDIA_TYPES,
  parseImageIndex,
} from '#lib/oci'
import { ImageError } from './image-error.ts'

/** Annotation of an entry of `index.json`: the image's name. */
export const REF_NAME = 'org.opencontainers.image.ref.name'
const VERSION = '1.0.0'

/** Reads `oci-layout` and `index.json`; undefined if the directory holds neither. */
export async function readLayout(directory: string): Promise<ImageIndex | undefined> {
  const layout = await readSmall(join(directory, 'oci-layout'))
  const index = await readSmall(join(directory, 'index.json'))
  if (layout === undefined && index === undefined) return undefined
  if (layout === undefined || index === undefined) {
    throw invalid(directory, `it has no ${layout === undefined ? 'oci-layout' : 'index.json'}`)
  }
  try {
    const version = string(object(parseJson(layout), 'oci-layout').imageLayoutVersion, 'oci-layout')
    if (version !== VERSION) throw invalid(directory, `its version is ${JSON.stringify(version)}`)
    return parseImageIndex(index, MEDIA_TYPES.ociIndex)
  } catch (cause) {
    if (cause instanceof ImageError || !isCoded(cause)) throw cause
    throw new ImageError('IMAGE_LAYOUT_INVALID', `reading ${directory}: ${cause.message}`, {
      cause,
    })
  }
}

/** Writes `oci-layout` and then `index.json`, each in one step: readers see the old or the new. */
export async function writeLayout(directory: string, index: ImageIndex): Promise<void> {
  const layout = utf8(JSON.stringify({ imageLayoutVersion: VERSION }))
  await writeWhole(join(directory, 'oci-layout'), layout)
  await writeWhole(join(directory, 'index.json'), encodeManifest(index))
}

/** The index with `entry` under a name, which any older entry of that name loses its place to. */
export function withEntry(
  index: ImageIndex | undefined,
  entry: Descriptor,
  name: string | undefined,
): ImageIndex {
  const { annotations: old, ...rest } = entry
  const { [REF_NAME]: _, ...kept } = old ?? {}
  const annotations = name === undefined ? kept : { ...kept, [REF_NAME]: name }
  const added = Object.keys(annotations).length === 0 ? rest : { ...rest, annotations }
  const others = (index?.manifests ?? []).filter((one) => one.annotations?.[REF_NAME] !== name)
  return {
    kind: 'index',
    mediaType: MEDIA_TYPES.ociIndex,
    ...(index?.annotations === undefined ? {} : { annotations: index.annotations }),
    manifests: [...others, added],
  }
}

/** A fresh name beside the files of a layout. */
export function temporaryName(directory: string): string {
  return join(directory, `.${toHex(randomBytes(8))}.partial`)
}

/** Opens a regular file for reading; undefined if there is none. Never waits on a FIFO. */
export async function openFile(path: string): Promise<FileHandle | undefined> {
  let file: FileHandle
  try {
    file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    if (['ENOENT', 'ENOTDIR'].includes((cause as NodeJS.ErrnoException).code ?? ''))
      return undefined
    throw unreadable(path, cause)
  }
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new ImageError('IMAGE_LAYOUT_INVALID', `reading ${path}: it is not a regular file`)
}

/** The `ImageError` for a failed read. */
export function unreadable(path: string, cause: unknown): ImageError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
  return new ImageError('INPUT_UNREADABLE', `reading ${path}: ${code}`, { cause })
}

/** The `ImageError` for a failed write. */
export function unwritable(path: string, cause: unknown): ImageError {
  const code = (cause as NodeJS.ErrnoException).code ?? 'unknown error'
  const full = code === 'ENOSPC' || code === 'EDQUOT'
  return new ImageError(full ? 'DISK_FULL' : 'IMAGE_LAYOUT_INVALID', `writing ${path}: ${code}`, {
    cause,
    ...(full ? {} : { next: 'check the directory and its permissions' }),
  })
}

async function readSmall(path: string): Promise<Uint8Array | undefined> {
  const file = await openFile(path)
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size > MAX_MANIFEST_SIZE) {
      throw new ImageError('IMAGE_LAYOUT_INVALID', `reading ${path}: it has ${size} bytes`)
    }
    return new Uint8Array(await file.readFile())
  } catch (cause) {
    throw cause instanceof ImageError ? cause : unreadable(path, cause)
  } finally {
    await file.close()
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const partial = temporaryName(join(path, '..'))
  try {
    const file = await open(partial, 'wx', 0o644)
    try {
      await file.writeFile(bytes)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(partial, path)
  } catch (cause) {
    await rm(partial, { force: true })
    throw unwritable(path, cause)
  }
}

function invalid(directory: string, found: string): ImageError {
  return new ImageError('IMAGE_LAYOUT_INVALID', `reading ${directory}: ${found}`)
}
