import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type ContentName,
  checkContent,
  type Descriptor,
  digestAlgorithm,
  digestHex,
  type ImageIndex,
  MAX_MANIFEST_SIZE,
  parseManifest,
  verified,
} from '#lib/oci'
import { referrersTag } from '#lib/registry'
import { ImageError } from './image-error.ts'
import type { ImageName } from './image-name.ts'
import { openFile, REF_NAME, readLayout, unreadable } from './layout-index.ts'
import type { ImageSource, ServedManifest } from './transport.ts'

const CHUNK = 256 * 1024
const MAX_REFERRER_SEARCH = 4096

/** Opens one image of an OCI layout for reading. */
export async function openLayoutSource(
  name: Extract<ImageName, { transport: 'oci' }>,
): Promise<ImageSource> {
  const { directory, tag, text } = name
  const index = await readLayout(directory)
  if (index === undefined) {
    throw new ImageError('IMAGE_LAYOUT_INVALID', `reading ${text}: ${directory} is no image layout`)
  }
  return {
    text,
    reference: undefined,
    top: () => readListed(directory, chooseEntry(index, tag, text)),
    listed: (entry) => readListed(directory, entry),
    tagged: (other) => readTagged(directory, index, other),
    referrers: (digest) => findReferrers(directory, index, digest),
    blob: (descriptor) => readLayoutBlob(directory, descriptor),
    [Symbol.asyncDispose]: async () => {},
  }
}

/** The manifest under a tag of a layout; undefined if there is none. */
export async function readTagged(
  directory: string,
  index: ImageIndex | undefined,
  tag: string,
): Promise<ServedManifest | undefined> {
  const entry = index?.manifests.find(({ annotations }) => annotations?.[REF_NAME] === tag)
  return entry === undefined ? undefined : readListed(directory, entry)
}

/** Path of a blob; the digest must have been validated. */
export function blobPath(directory: string, digest: string): string {
  return join(directory, 'blobs', digestAlgorithm(digest), digestHex(digest))
}

/** The content of a blob file, checked while it passes. */
export async function* readLayoutBlob(
  directory: string,
  content: ContentName & Pick<Descriptor, 'data'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  yield* verified(readChunks(directory, content), content, `blob ${content.digest}`)
}

async function* readChunks(
  directory: string,
  content: ContentName & Pick<Descriptor, 'data'>,
): AsyncGenerator<Uint8Array, void, undefined> {
  if (content.data !== undefined) {
    yield content.data
    return
  }
  const path = blobPath(directory, content.digest)
  const file = await openFile(path)
  if (file === undefined) {
    throw new ImageError('IMAGE_LAYOUT_INVALID', `reading ${path}: it is not there`)
  }
  try {
    for (;;) {
      // A new buffer for each: consumers may hold on to what they got.
      const buffer = new Uint8Array(CHUNK)
      const { bytesRead } = await file.read(buffer, 0, CHUNK, null)
      if (bytesRead === 0) return
      yield buffer.subarray(0, bytesRead)
    }
  } catch (cause) {
    throw unreadable(path, cause)
  } finally {
    await file.close()
  }
}

async function readListed(directory: string, entry: Descriptor): Promise<ServedManifest> {
  if (entry.size > MAX_MANIFEST_SIZE) {
    throw new ImageError(
      'IMAGE_LAYOUT_INVALID',
      `reading manifest ${entry.digest}: it has ${entry.size} bytes, the limit is 4 MiB`,
    )
  }
  const bytes = new Uint8Array(entry.size)
  let at = 0
  for await (const chunk of readLayoutBlob(directory, entry)) {
    bytes.set(chunk, at)
    at += chunk.length
  }
  checkContent(bytes, entry, `manifest ${entry.digest}`)
  const manifest = parseManifest(bytes, entry.mediaType)
  return { bytes, digest: entry.digest, mediaType: manifest.mediaType, manifest }
}

function chooseEntry(index: ImageIndex, tag: string | undefined, text: string): Descriptor {
  const names = index.manifests.map(({ annotations }) => annotations?.[REF_NAME])
  const found = index.manifests.filter((_, i) => tag === undefined || names[i] === tag)
  const [entry] = found
  if (entry !== undefined && found.length === 1) return entry
  const there = names.filter((name) => name !== undefined)
  const listed = there.length === 0 ? 'no named image' : there.slice(0, 20).join(', ')
  throw new ImageError(
    'IMAGE_NOT_FOUND',
    found.length > 1
      ? `reading ${text}: the layout holds ${found.length} images of that name; named are ${listed}`
      : `reading ${text}: the layout holds ${listed}`,
  )
}

// A layout has no referrers interface: entries of the index are looked through, and the tag that
// clients of old registries use.
async function findReferrers(
  directory: string,
  index: ImageIndex,
  digest: string,
): Promise<readonly Descriptor[]> {
  const fallback = await readTagged(directory, index, referrersTag(digest))
  const found = fallback?.manifest.kind === 'index' ? [...fallback.manifest.manifests] : []
  for (const entry of index.manifests.slice(0, MAX_REFERRER_SEARCH)) {
    const { manifest } = await readListed(directory, entry)
    const known = found.some((one) => one.digest === entry.digest)
    if (manifest.subject?.digest === digest && !known) found.push(entry)
  }
  return found
}

/** True if the directory is absent or empty, so that a new layout may be made in it. */
export async function isVacant(directory: string): Promise<boolean> {
  try {
    return (await readdir(directory)).length === 0
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw unreadable(directory, cause)
  }
}
