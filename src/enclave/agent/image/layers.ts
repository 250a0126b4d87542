import type { HandoverLayer } from '#lib/handover'
import { MEMORY_SPOOL, spoolLayer, unpackLayer } from '#lib/layer'
import { type Descriptor, layerType } from '#lib/oci'
import type { OpenedLayer } from '#lib/ocicrypt'
import type { RegistryClient } from '#lib/registry'
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
  readonly signal: AbortSignal
  /** Bytes fetched so far, of all layers. */
  readonly onProgress: (done: number, total: number) => void
}

/** A sealed layer of the stack. */
export interface SealedLayer extends HandoverLayer {
  /** Layers below this one do not show. */
  readonly opaqueRoot: boolean
}

/** Fetches, verifies and seals the layers of an image, base first. The caller wipes the keys of the result. */
export type SealLayers = (
  layers: readonly SourceLayer[],
  options: SealOptions,
) => Promise<readonly SealedLayer[]>

/** Layers at work at the same time: one is fetched while another is unpacked. */
const AT_ONCE = 2

/** Name of a sealed layer in the spool. */
export function sealedName(index: number): string {
  return `layer-${index}.sealed`
}

/**
 * Seals into `directory`. Each layer is authenticated as a whole before a byte of it is decrypted
 * (own-protocols 3). On any failure the keys are wiped and the files removed.
 */
export function spoolSealer(directory: string): SealLayers {
  return async (layers, options) => {
    const stop = new AbortController()
    const signal = AbortSignal.any([options.signal, stop.signal])
    const progress = new Total(layers, options.onProgress)
    const sealed: SealedLayer[] = []
    const queue = layers.entries()
    let failure: unknown
    const worker = async (): Promise<void> => {
      for (const [index, layer] of queue) {
        const onProgress = (done: number): void => progress.of(index, done)
        try {
          sealed[index] = await sealOne(directory, index, layer, { ...options, signal, onProgress })
        } catch (error) {
          failure ??= error
          stop.abort(error)
          return
        }
      }
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    if (failure === undefined) return sealed
    for (const layer of sealed) layer?.key.fill(0)
    for (const index of layers.keys()) await removeSpoolFile(directory, sealedName(index))
    throw failure
  }
}

async function sealOne(
  directory: string,
  index: number,
  { descriptor, diffId, opened }: SourceLayer,
  options: Omit<SealOptions, 'onProgress'> & { readonly onProgress: (done: number) => void },
): Promise<SealedLayer> {
  const { client, signal, onProgress } = options
  signal.throwIfAborted()
  const { compression } = layerType(descriptor.mediaType)
  await using storage =
    descriptor.size > MEMORY_SPOOL
      ? await SpoolFile.anonymous(directory, `layer-${index}.blob`)
      : undefined
  const spooled = await spoolLayer({
    source: client.blob(descriptor),
    descriptor,
    cipher: opened?.cipher,
    ...(storage === undefined ? {} : { storage }),
    signal,
    onProgress,
  })
  const file = sealedName(index)
  await using sink = await SpoolFile.create(directory, file)
  const { key, root, encodedHeader, opaqueRoot } = await unpackLayer({
    spooled,
    compression,
    diffId,
    plainDigest: digestOf(opened),
    sink,
    signal,
  })
  return { key, root, header: encodedHeader, file, opaqueRoot }
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
