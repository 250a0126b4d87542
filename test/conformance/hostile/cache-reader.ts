import { createDecipheriv, createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { recordFile } from '#lib/cache'
import {
  CHUNK_SIZE,
  cachedLayerFile,
  chunkNonce,
  HEADER_BLOCK,
  type SealedHeader,
} from '#lib/sealed'
import { createOpensslOpener } from '#platform/chunk-cipher'
import { type CachedLayer, LayerCache } from '../../../src/enclave/agent/image/layer-cache.ts'
import { closeLayers, openLayers } from '../../../src/enclave/init/open-layers.ts'
import { bufferLength, readSealed } from '../../../src/enclave/init/sealed-file.ts'
import { type CacheLayer, keysOf, sealArchive } from './cache-layers.ts'
import type { Counts } from './reader-entry.ts'

/** What looking for a layer came to. `miss`: the agent fetches it; another code: the container does not start, or ends. */
export type Look =
  | { readonly kind: 'right' }
  | { readonly kind: 'refused'; readonly code: string }
  | { readonly kind: 'wrong'; readonly found: string }

const READ = 65_536
// A fifo is no reason to wait, for this reader neither.
const AT_ONCE = { flag: constants.O_RDONLY | constants.O_NONBLOCK }
const SAMPLES = 5

/** The agent's lookup, and where it finds something init's opening and a reading of every byte. */
export async function look(directory: string, layer: CacheLayer): Promise<Look> {
  using keys = keysOf(layer)
  const cache = new LayerCache(directory)
  try {
    const found = await cache.find({ layerId: layer.layerId, keys })
    return found === undefined ? { kind: 'refused', code: 'miss' } : read(directory, layer, found)
  } finally {
    cache.release()
  }
}

/** As `look`, but what is missed is sealed into the cache, as the agent does, and read from there. */
export async function lookOrKeep(directory: string, layer: CacheLayer): Promise<Look> {
  using keys = keysOf(layer)
  const cache = new LayerCache(directory)
  const slot = { layerId: layer.layerId, keys }
  try {
    const found = await cache.find(slot)
    if (found !== undefined) return read(directory, layer, found)
    const kept = await cache.add(slot, (sink) => sealArchive(layer.archive, layer.layerId, sink))
    await cache.settled()
    const looked = kept === undefined ? undefined : read(directory, layer, kept)
    return looked?.kind === 'wrong' ? looked : { kind: 'refused', code: 'miss' }
  } catch (error) {
    return refusal(error)
  } finally {
    cache.release()
  }
}

/**
 * What a reader gets who has the keys but checks nothing: no tag of a record, of a table or of a chunk, no
 * root, no name. What the host changed shows here.
 */
export async function lookUnchecked(directory: string, layer: CacheLayer): Promise<Look> {
  using keys = keysOf(layer)
  let image: Uint8Array
  let flags: number
  try {
    const record = await readFile(join(directory, recordFile(keys.name)), AT_ONCE)
    const start = Uint8Array.of(...record.subarray(24, 36), 0, 0, 0, 2)
    const cipher = createDecipheriv('aes-256-ctr', keys.wrappingKey, start)
    const plain = cipher.update(record.subarray(36, 177))
    flags = plain.readUInt8(140)
    // the length that the record gives, as far as anything could have it
    const length = Number(plain.readBigUInt64BE(68 + 12))
    const file = cachedLayerFile(record.subarray(8, 24))
    const data = (await readFile(join(directory, file), AT_ONCE)).subarray(HEADER_BLOCK)
    image = decrypted(plain.subarray(0, 32), data.subarray(0, Math.min(length, data.length)))
  } catch (error) {
    return { kind: 'refused', code: (error as { code?: string }).code ?? 'broken' }
  }
  if (image.length === 0) return { kind: 'refused', code: 'empty' }
  return verdict(layer, digestOf(image), flags !== 0)
}

/** Adds up looks. */
export class Looks {
  readonly #counts = { right: 0, refused: 0, wrong: 0 }
  readonly #errors: Record<string, number> = {}
  readonly #samples: string[] = []

  add(look: Look): void {
    this.#counts[look.kind] += 1
    if (look.kind === 'refused') this.#errors[look.code] = (this.#errors[look.code] ?? 0) + 1
    if (look.kind === 'wrong' && this.#samples.length < SAMPLES) this.#samples.push(look.found)
  }

  result(): Counts {
    return { ...this.#counts, errors: { ...this.#errors }, samples: [...this.#samples] }
  }
}

function read(directory: string, layer: CacheLayer, found: CachedLayer): Look {
  try {
    const files = openLayers({ spool: '/nowhere', cache: directory }, [found])
    try {
      const [file] = files
      if (file === undefined) throw new Error('nothing was opened')
      const opener = createOpensslOpener(file.key, file.header.fileId)
      try {
        return readThrough(layer, found, file.header, (buffer, at) =>
          readSealed(file, opener, buffer, at, READ),
        )
      } finally {
        opener.close()
      }
    } finally {
      closeLayers(files)
    }
  } catch (error) {
    return refusal(error)
  }
}

function readThrough(
  layer: CacheLayer,
  { opaqueRoot }: CachedLayer,
  { imageLength }: SealedHeader,
  readAt: (buffer: Uint8Array, at: number) => ReturnType<typeof readSealed>,
): Look {
  const buffer = new Uint8Array(bufferLength(READ))
  const hash = createHash('sha256')
  for (let at = 0; at < imageLength; at += READ) {
    const outcome = readAt(buffer, at)
    if (!outcome.ok) return { kind: 'refused', code: 'EIO' }
    hash.update(outcome.data)
  }
  return verdict(layer, hash.digest('hex'), opaqueRoot)
}

function digestOf(image: Uint8Array): string {
  return createHash('sha256').update(image).digest('hex')
}

function verdict({ name, image, opaqueRoot }: CacheLayer, digest: string, opaque: boolean): Look {
  if (digest !== image) return { kind: 'wrong', found: `${name}: other bytes` }
  if (opaque !== opaqueRoot) return { kind: 'wrong', found: `${name}: other flags` }
  return { kind: 'right' }
}

function refusal(error: unknown): Look {
  const { code } = error as { code?: string }
  if (code === undefined) throw error
  return { kind: 'refused', code }
}

function decrypted(key: Uint8Array, data: Uint8Array): Uint8Array {
  const image = new Uint8Array(data.length)
  for (let at = 0, index = 0; at < data.length; at += CHUNK_SIZE, index++) {
    const start = Uint8Array.of(...chunkNonce(index), 0, 0, 0, 2)
    const chunk = data.subarray(at, at + CHUNK_SIZE)
    image.set(createDecipheriv('aes-256-ctr', key, start).update(chunk), at)
  }
  return image
}
