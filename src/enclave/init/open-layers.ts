import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { equalBytes } from '#lib/bytes'
import type { HandoverLayer } from '#lib/handover'
import {
  HEADER_BLOCK,
  headerBlock,
  type LayerPlace,
  layerPlace,
  openSealed,
  parseHeader,
  SealedError,
  sealedLayout,
} from '#lib/sealed'
import { tryLockOpenFile } from '#platform/lock'
import { type SealedFile, servedName } from './sealed-file.ts'

/** Directories that the host fills, by the place that a file's name belongs to. */
export type LayerPlaces = Readonly<Record<LayerPlace, string>>

/**
 * Opens the sealed layers, base first: header and tag table of each are proven against
 * the root that the agent handed over, before anything is mounted (docs/formats/sealed-layer.md). Throws
 * SealedError; nothing stays open then.
 */
export function openLayers(places: LayerPlaces, layers: readonly HandoverLayer[]): SealedFile[] {
  const opened: SealedFile[] = []
  try {
    layers.forEach((layer, i) => {
      opened.push(openNamed(places, layer, servedName(i)))
    })
    return opened
  } catch (error) {
    closeLayers(opened)
    throw error
  }
}

/** Wipes the keys and closes the descriptors; whatever the host's filesystem says to that. */
export function closeLayers(files: readonly SealedFile[]): void {
  for (const file of files) file.key.fill(0)
  for (const file of files) closeAlways(file.fd)
}

/** The descriptor is free afterwards, even if the filesystem below it, which is the host's, answers with an error. */
export function closeAlways(fd: number): void {
  try {
    closeSync(fd)
  } catch {
    // close(2): the error is of a flush, which means nothing for what was only read, or is garbage now
  }
}

/** As `openLayer`; the host learns which of its files it was that did not fit. */
function openNamed(places: LayerPlaces, layer: HandoverLayer, name: string): SealedFile {
  try {
    return openLayer(places, layer, name)
  } catch (error) {
    if (!(error instanceof SealedError) || error.code !== 'SEALED_MISMATCH') throw error
    const details = { damaged: layer.file }
    throw new SealedError(error.code, error.message, { cause: error.cause, details })
  }
}

function openLayer(places: LayerPlaces, layer: HandoverLayer, name: string): SealedFile {
  const place = layerPlace(layer.file)
  if (place === undefined) throw mismatch(name, 'it has no name of ours')
  const path = join(places[place], layer.file)
  // The host filled the directory: a link or a device instead of a file is its doing.
  const fd = openPlain(path, name)
  try {
    // Tells a well-meaning host that the file is in use; the agent's lock has kept it until now. What the
    // host removes all the same stays readable here.
    if (place === 'cache') tryLockOpenFile(fd, path, 'shared')
    const stat = fstatSync(fd)
    if (!stat.isFile()) throw mismatch(name, 'it is not a regular file')
    // The agent's header decides; that of the file has to be the same.
    const header = parseHeader(layer.header)
    const block = readExactly(fd, new Uint8Array(HEADER_BLOCK), 0, name)
    if (!equalBytes(block, headerBlock(layer.header))) throw mismatch(name, 'its header is another')
    const layout = sealedLayout(header)
    if (stat.size !== layout.fileLength) throw mismatch(name, 'its length is another')
    // Shared with the serving threads, which only read it.
    const tags = new Uint8Array(new SharedArrayBuffer(layout.tagsLength))
    readExactly(fd, tags, layout.tagsOffset, name)
    const image = openSealed({
      encodedHeader: layer.header,
      root: layer.root,
      key: layer.key,
      tags,
      fileLength: stat.size,
    })
    image.close()
    return { name, fd, header, key: layer.key, tags }
  } catch (error) {
    closeAlways(fd)
    throw error
  }
}

function openPlain(path: string, name: string): number {
  try {
    return openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  } catch (cause) {
    const found = `it cannot be opened (${(cause as { code?: string }).code})`
    throw mismatch(name, found, cause)
  }
}

function readExactly(fd: number, into: Uint8Array, position: number, name: string): Uint8Array {
  let got = 0
  while (got < into.length) {
    const count = readSync(fd, into, got, into.length - got, position + got)
    if (count === 0) throw mismatch(name, 'it is too short')
    got += count
  }
  return into
}

function mismatch(name: string, found: string, cause?: unknown): SealedError {
  return new SealedError('SEALED_MISMATCH', `opening sealed layer ${name}: ${found}`, { cause })
}
