import { access, constants } from 'node:fs/promises'
import type { Tee } from '#lib/attest'
import { CACHE_SEALING_LABEL, layerId, recordKeys } from '#lib/cache'
import type { HandoverLayer } from '#lib/handover'
import { MEMORY_SPOOL, spoolLayer, type UnpackedLayer, unpackLayer } from '#lib/layer'
import { type Descriptor, layerType } from '#lib/oci'
import type { OpenedLayer } from '#lib/ocicrypt'
import type { RegistryClient } from '#lib/registry'
import { type SealedSink, spooledLayerFile } from '#lib/sealed'
import { createOpensslSealer } from '#platform/chunk-cipher'
import { type CachedLayer, type CacheSlot, LayerCache } from './layer-cache.ts'
import { removeSpoolFile, SpoolFile } from './spool.ts'

/** A layer of the manifest, with its key where it is encrypted. */
export interface SourceLayer {
  readonly descriptor: Descriptor
  /** Digest of the decrypted, decompressed archive, from the image configuration. */
  readonly diffId: string
  readonly opened: OpenedLayer | undefined
}

/** Options of `SealLayers`. */
export interface SealOptions {
  readonly client: Pick<RegistryClient, 'blob'>
  /** 32 bytes: whose plain layers these are. */
  readonly initDataDigest: Uint8Array
  readonly signal: AbortSignal
  /** Bytes of blobs that are fetched or were not needed, of all layers. */
  readonly onProgress: (done: number, total: number) => void
}

/** A sealed layer of the stack. */
export interface SealedLayer extends HandoverLayer {
  /** Layers below this one do not show. */
  readonly opaqueRoot: boolean
  /** It was taken from the node's cache: nothing of it was fetched. */
  readonly cached: boolean
}

/**
 * Finds or fetches, verifies and seals the layers of an image, base first. Call it when the image was
 * permitted and its keys were released, not before. The caller wipes the keys of the result.
 */
export type SealLayers = (
  layers: readonly SourceLayer[],
  options: SealOptions,
) => Promise<readonly SealedLayer[]>

/** Where sealed layers go. */
export interface SealPlaces {
  /** Directory of this pod alone. */
  readonly spool: string
  /** Directory that the node keeps for all pods; undefined or not writable: there is none. */
  readonly cache?: string
  /** Of the TEE; needed for the cache. */
  readonly sealingKey?: Tee['sealingKey']
}

/** Layers at work at the same time: one is fetched while another is unpacked. */
const AT_ONCE = 2
const NO_SCOPE = new Uint8Array(0)

/**
 * Takes layers from the node's cache, or seals them into it, or into the spool where there is no cache.
 * Each layer is authenticated as a whole before a byte of it is decrypted (own-protocols 3). On any
 * failure the keys are wiped and the files of the spool removed; those of the cache are of use to others.
 */
export function layerSealer(places: SealPlaces): SealLayers {
  const cache = places.cache === undefined ? undefined : new LayerCache(places.cache)
  return async (layers, options) => {
    const stop = new AbortController()
    const signal = AbortSignal.any([options.signal, stop.signal])
    const progress = new Total(layers, options.onProgress)
    const sealingKey = await cacheKey(places)
    const sealed: SealedLayer[] = []
    const queue = layers.entries()
    let failure: unknown
    const worker = async (): Promise<void> => {
      for (const [index, layer] of queue) {
        const onProgress = (done: number): void => progress.of(index, done)
        const work: LayerWork = {
          ...{ ...options, signal, onProgress, spool: places.spool },
          ...{ index, layer, layerId: idOf(layer, options) },
        }
        try {
          sealed[index] = await takeOne(cache, sealingKey, work)
        } catch (error) {
          failure ??= error
          stop.abort(error)
          return
        }
      }
    }
    try {
      await Promise.all(Array.from({ length: AT_ONCE }, worker))
      await cache?.settled()
    } finally {
      sealingKey?.fill(0)
    }
    if (failure === undefined) return sealed
    for (const layer of sealed) layer?.key.fill(0)
    for (const index of layers.keys()) await removeSpoolFile(places.spool, spooledLayerFile(index))
    cache?.release()
    throw failure
  }
}

/** One layer on its way. */
interface LayerWork extends Omit<SealOptions, 'onProgress'> {
  readonly index: number
  readonly layer: SourceLayer
  readonly layerId: Uint8Array
  readonly spool: string
  readonly onProgress: (done: number) => void
}

/** The key that records are wrapped under; undefined where no cache can be used. The caller wipes it. */
async function cacheKey({ cache, sealingKey }: SealPlaces): Promise<Uint8Array | undefined> {
  if (cache === undefined || sealingKey === undefined) return undefined
  try {
    await access(cache, constants.W_OK)
    return await sealingKey('enclave', CACHE_SEALING_LABEL)
  } catch {
    // A node that keeps no layers gives an empty directory of the bundle's read-only image.
    return undefined
  }
}

function idOf({ descriptor, diffId, opened }: SourceLayer, options: SealOptions): Uint8Array {
  const { digest, mediaType } = descriptor
  const scope = opened === undefined ? options.initDataDigest : NO_SCOPE
  return layerId({ digest, mediaType, diffId, scope })
}

async function takeOne(
  cache: LayerCache | undefined,
  sealingKey: Uint8Array | undefined,
  work: LayerWork,
): Promise<SealedLayer> {
  const { layer, signal, onProgress } = work
  signal.throwIfAborted()
  if (cache === undefined || sealingKey === undefined) return await sealOne(work)
  using keys = recordKeys(sealingKey, work.layerId, layer.opened?.cipher)
  const slot: CacheSlot = { layerId: work.layerId, keys }
  const found = await cache.find(slot)
  if (found === undefined) return await sealOne(work, (seal) => cache.add(slot, seal))
  onProgress(layer.descriptor.size)
  return { ...found, cached: true }
}

type Seal = (sink: SealedSink) => Promise<UnpackedLayer>

/** `keep` is tried first; where it has no room the layer is sealed again, under a new key, in the spool. */
async function sealOne(
  work: LayerWork,
  keep: (seal: Seal) => Promise<CachedLayer | undefined> = async () => undefined,
): Promise<SealedLayer> {
  const { client, signal, onProgress, index, layerId, spool } = work
  const { descriptor, diffId, opened } = work.layer
  const { compression } = layerType(descriptor.mediaType)
  await using storage =
    descriptor.size > MEMORY_SPOOL
      ? await SpoolFile.anonymous(spool, `layer-${index}.blob`)
      : undefined
  const spooled = await spoolLayer({
    source: client.blob(descriptor),
    descriptor,
    cipher: opened?.cipher,
    ...(storage === undefined ? {} : { storage }),
    signal,
    onProgress,
  })
  const plainDigest = digestOf(opened)
  const seal: Seal = (sink) =>
    unpackLayer({
      ...{ spooled, compression, diffId, plainDigest, sink, layerId, signal },
      chunkSealer: createOpensslSealer,
    })
  const kept = await keep(seal)
  if (kept !== undefined) return { ...kept, cached: false }
  const file = spooledLayerFile(index)
  await using sink = await SpoolFile.create(spool, file)
  const { key, root, encodedHeader, opaqueRoot } = await seal(sink)
  return { key, root, header: encodedHeader, file, opaqueRoot, cached: false }
}

/** The digest that encryption noted; tools that leave it out write an empty text. */
function digestOf(opened: OpenedLayer | undefined): string | undefined {
  return opened?.digest === '' ? undefined : opened?.digest
}

/** Adds up the progress of layers and reports it in steps of two percent. */
class Total {
  readonly #done: number[]
  readonly #total: number
  readonly #report: (done: number, total: number) => void
  #reported = 0

  constructor(layers: readonly SourceLayer[], report: (done: number, total: number) => void) {
    this.#done = layers.map(() => 0)
    this.#total = layers.reduce((sum, { descriptor }) => sum + descriptor.size, 0)
    this.#report = report
  }

  of(index: number, done: number): void {
    this.#done[index] = done
    const sum = this.#done.reduce((a, b) => a + b, 0)
    if (sum - this.#reported < this.#total / 50 && sum < this.#total) return
    this.#reported = sum
    this.#report(sum, this.#total)
  }
}
