import { type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type ContentName, type ImageIndex, parseManifest, verified } from '#lib/oci'
import { hashed } from '#lib/registry'
import { ImageError } from './image-error.ts'
import type { ImageName } from './image-name.ts'
import { readLayout, temporaryName, unwritable, withEntry, writeLayout } from './layout-index.ts'
import { blobPath, isVacant, readTagged } from './layout-source.ts'
import type { ImageDestination } from './transport.ts'

/**
 * Opens an OCI layout for writing one image. An existing layout keeps its other images. A new
 * one is removed again if nothing is committed.
 */
export async function openLayoutDestination(
  name: Extract<ImageName, { transport: 'oci' }>,
): Promise<ImageDestination> {
  const { directory, tag, text } = name
  const present = await readLayout(directory)
  if (present === undefined && !(await isVacant(directory))) {
    throw new ImageError(
      'IMAGE_LAYOUT_INVALID',
      `writing ${text}: ${directory} holds other files and no image layout`,
      { next: 'choose a new directory' },
    )
  }
  const made = present === undefined ? await makeDirectory(directory) : undefined
  let committed = false
  const list = async (bytes: Uint8Array, type: string, as: string | undefined) => {
    const { subject } = parseManifest(bytes, type)
    const content = await storeBytes(directory, bytes)
    if (as !== undefined || subject !== undefined) {
      await updateIndex(directory, { ...content, mediaType: type }, as)
    }
    return content
  }
  return {
    text,
    reference: undefined,
    // The layout specification is of OCI manifests; skopeo does not see others in one.
    requiredFormat: 'oci',
    has: (content) => hasFile(blobPath(directory, content.digest), content.size),
    blob: (source, known) => storeBlob(directory, source, known),
    manifest: list,
    tagged: async (other) => readTagged(directory, await readLayout(directory), other),
    commit: async (bytes, mediaType) => {
      parseManifest(bytes, mediaType)
      const content = await storeBytes(directory, bytes)
      await updateIndex(directory, { ...content, mediaType }, tag)
      committed = true
      return content
    },
    [Symbol.asyncDispose]: async () => {
      if (!committed && made !== undefined) await rm(made, { recursive: true, force: true })
    },
  }
}

// The index is read anew before each change: another process may have added an image to it.
async function updateIndex(
  directory: string,
  entry: ContentName & { readonly mediaType: string },
  name: string | undefined,
): Promise<void> {
  const current: ImageIndex | undefined = await readLayout(directory)
  await writeLayout(directory, withEntry(current, entry, name))
}

// Returns what was made and is ours to remove. Parents stay: others may use them by then.
async function makeDirectory(directory: string): Promise<string> {
  try {
    const there = await stat(directory).catch(() => undefined)
    const blobs = join(directory, 'blobs')
    await mkdir(join(blobs, 'sha256'), { recursive: true })
    return there === undefined ? directory : blobs
  } catch (cause) {
    throw unwritable(directory, cause)
  }
}

async function hasFile(path: string, size: number): Promise<boolean> {
  try {
    const found = await stat(path)
    // Only complete blobs ever get this name. A wrong size means damage: it is written again.
    return found.isFile() && found.size === size
  } catch {
    return false
  }
}

async function storeBytes(directory: string, bytes: Uint8Array): Promise<ContentName> {
  async function* once(): AsyncGenerator<Uint8Array, void, undefined> {
    yield bytes
  }
  return storeBlob(directory, once(), undefined)
}

async function storeBlob(
  directory: string,
  source: AsyncIterable<Uint8Array>,
  known: ContentName | undefined,
): Promise<ContentName> {
  const checked = known === undefined ? source : verified(source, known, `blob ${known.digest}`)
  const running = hashed(checked)
  const partial = temporaryName(directory)
  try {
    const file = await openNew(partial)
    try {
      for await (const chunk of running.bytes) await writeAll(file, chunk, partial)
      await file.sync()
    } finally {
      await file.close()
    }
    const name = known ?? running.name()
    const path = blobPath(directory, name.digest)
    await mkdir(dirname(path), { recursive: true })
    await rename(partial, path)
    return { digest: name.digest, size: name.size }
  } catch (error) {
    await rm(partial, { force: true })
    throw error
  }
}

async function openNew(path: string): Promise<FileHandle> {
  try {
    return await open(path, 'wx', 0o644)
  } catch (cause) {
    throw unwritable(path, cause)
  }
}

async function writeAll(file: FileHandle, chunk: Uint8Array, path: string): Promise<void> {
  try {
    for (let at = 0; at < chunk.length; ) {
      at += (await file.write(chunk, at, chunk.length - at, null)).bytesWritten
    }
  } catch (cause) {
    throw unwritable(path, cause)
  }
}
