import type { Progress } from '#lib/command'
import {
  type ContentName,
  convertIndex,
  convertManifest,
  type Descriptor,
  digestOf,
  encodeManifest,
  type ImageIndex,
  type ImageManifest,
  isForeignLayer,
  isIndexType,
  isLayerType,
  isManifestType,
  MAX_INDEX_DEPTH,
  type ManifestFormat,
  manifestFormat,
  OciError,
  type Platform,
} from '#lib/oci'
import { chooseImage } from './choose.ts'
import { ImageError } from './image-error.ts'
import type { LayerTransform } from './layer-transform.ts'
import { inParallel } from './parallel.ts'
import type { ImageDestination, ImageSource, ServedManifest } from './transport.ts'

/** What to copy, and into what. */
export interface CopyOptions {
  /** Which image of an index; not used with `all`. */
  readonly platform: Platform
  /** Copy the index with all its images. */
  readonly all?: boolean
  /** Convert manifests to this family; default: as they are, or OCI if a layer changes. */
  readonly format?: ManifestFormat | undefined
  /** Fail with `IMAGE_DIGEST_CHANGES` rather than write another digest. */
  readonly preserveDigests?: boolean
  /** Changes layers on their way. */
  readonly transform?: LayerTransform
  readonly progress: (label: string) => Progress
  /** Ends the copy between two pieces of a blob; its reason is thrown. */
  readonly signal?: AbortSignal
}

/** One image that was written. */
export interface CopiedImage {
  readonly manifest: ImageManifest
  readonly digest: string
  /** Bytes of the manifest. */
  readonly size: number
  readonly platform: Platform | undefined
}

/** What was written. */
export interface CopyResult {
  /** Digest of the manifest or index that the destination's name now stands for. */
  readonly digest: string
  readonly mediaType: string
  /** Every image below it, one unless `all`. */
  readonly images: readonly CopiedImage[]
}

const PARALLEL_LAYERS = 3
const REFERENCE_DIGEST = 'vnd.docker.reference.digest'

/** Copies an image: blobs first, manifests after what they name, the destination's name last. */
export async function copyImage(
  source: ImageSource,
  destination: ImageDestination,
  options: CopyOptions,
): Promise<CopyResult> {
  const copy = new Copy(source, destination, options)
  const top = await source.top()
  const written =
    options.all === true
      ? await copy.tree(top, undefined, 0)
      : await chooseImage(source, top, options.platform).then(({ served, platform }) =>
          copy.tree(served, platform, 0),
        )
  checkDestinationDigest(destination, digestOf(written.bytes))
  const { digest } = await destination.commit(written.bytes, written.mediaType)
  return { digest, mediaType: written.mediaType, images: copy.images }
}

interface Written {
  readonly bytes: Uint8Array
  readonly mediaType: string
}

class Copy {
  readonly images: CopiedImage[] = []
  readonly #source: ImageSource
  readonly #destination: ImageDestination
  readonly #options: CopyOptions
  /** Manifests become of this family; undefined: they keep theirs where possible. */
  readonly #format: ManifestFormat | undefined

  constructor(source: ImageSource, destination: ImageDestination, options: CopyOptions) {
    this.#source = source
    this.#destination = destination
    this.#options = options
    this.#format = options.format ?? destination.requiredFormat
    if (destination.requiredFormat !== undefined && this.#format !== destination.requiredFormat) {
      throw new ImageError('USAGE', `writing ${destination.text}: it holds OCI manifests only`)
    }
  }

  async tree(
    served: ServedManifest,
    platform: Platform | undefined,
    depth: number,
  ): Promise<Written> {
    const { manifest } = served
    if (manifest.kind === 'manifest') return this.#image(served, manifest, platform)
    if (depth >= MAX_INDEX_DEPTH) {
      throw new OciError(
        'IMAGE_MANIFEST_INVALID',
        `reading ${this.#source.text}: indexes lie in one another more than ${MAX_INDEX_DEPTH} deep`,
      )
    }
    return this.#index(served, manifest, depth)
  }

  async #image(
    served: ServedManifest,
    manifest: ImageManifest,
    platform: Platform | undefined,
  ): Promise<Written> {
    const { layers } = manifest
    const plans = layers.map((layer, index) => ({ layer, index }))
    const copied = await inParallel(PARALLEL_LAYERS, plans, ({ layer, index }) =>
      this.#layer(layer, index, layers.length),
    )
    await this.#blob(manifest.config, 'configuration')
    const changed = copied.some((layer, i) => layer !== layers[i])
    const written = this.#encode(served, { ...manifest, layers: copied }, changed)
    this.images.push({
      manifest: written.manifest,
      digest: digestOf(written.bytes),
      size: written.bytes.length,
      platform,
    })
    return { bytes: written.bytes, mediaType: written.manifest.mediaType }
  }

  #encode(
    served: ServedManifest,
    manifest: ImageManifest,
    changed: boolean,
  ): { manifest: ImageManifest; bytes: Uint8Array } {
    const format = this.#format ?? (changed ? 'oci' : manifestFormat(manifest))
    if (!changed && format === manifestFormat(manifest)) return { manifest, bytes: served.bytes }
    if (this.#options.preserveDigests === true) throw digestChanges(this.#source, served.digest)
    const converted = convertManifest(manifest, format)
    return { manifest: converted, bytes: encodeManifest(converted) }
  }

  async #index(served: ServedManifest, index: ImageIndex, depth: number): Promise<Written> {
    const entries: Descriptor[] = []
    for (const entry of index.manifests) {
      if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) {
        throw new OciError(
          'IMAGE_MEDIA_TYPE_UNSUPPORTED',
          `copying ${this.#source.text}: its index lists ${JSON.stringify(entry.mediaType)}`,
        )
      }
      const child = await this.#source.listed(entry)
      const written = await this.tree(child, entry.platform, depth + 1)
      const { digest, size } = await this.#destination.manifest(written.bytes, written.mediaType)
      const same = digest === entry.digest && written.mediaType === entry.mediaType
      const { data: _, ...bare } = entry
      entries.push(same ? entry : { ...bare, digest, size, mediaType: written.mediaType })
    }
    const changed = entries.some((entry, i) => entry !== index.manifests[i])
    // An index with an OCI manifest in it is an OCI index.
    const oci = entries.some(({ mediaType }) => mediaType.includes('.oci.'))
    const format = changed && oci ? 'oci' : (this.#format ?? manifestFormat(index))
    if (!changed && format === manifestFormat(index)) {
      return { bytes: served.bytes, mediaType: index.mediaType }
    }
    if (this.#options.preserveDigests === true) throw digestChanges(this.#source, served.digest)
    const converted = convertIndex(index, format, renamed(index, entries))
    return { bytes: encodeManifest(converted), mediaType: converted.mediaType }
  }

  async #layer(layer: Descriptor, index: number, count: number): Promise<Descriptor> {
    const label = `layer ${index + 1}/${count} ${short(layer.digest)}`
    // Foreign layers stay where they are: their licence forbids to hand them on.
    if (isForeignLayer(layer.mediaType) && (layer.urls?.length ?? 0) > 0) return layer
    const change = isLayerType(layer.mediaType)
      ? await this.#options.transform?.(layer, { index, count })
      : undefined
    if (change === undefined || change.content === undefined) {
      await this.#blob(layer, label)
      return change === undefined ? layer : describe(layer, layer, await change.finish())
    }
    const step = this.#options.progress(label)
    try {
      const content = change.content(this.#counted(layer, step))
      const name = await this.#destination.blob(content)
      const made = describe(layer, name, await change.finish())
      step.done()
      return made
    } catch (error) {
      step.fail()
      throw error
    }
  }

  async *#counted(
    descriptor: Descriptor,
    step: Progress,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    let done = 0
    for await (const chunk of this.#source.blob(descriptor)) {
      this.#options.signal?.throwIfAborted()
      done += chunk.length
      step.update(done, descriptor.size)
      yield chunk
    }
  }

  async #blob(descriptor: Descriptor, label: string): Promise<void> {
    const step = this.#options.progress(`${label}`)
    try {
      if (await this.#destination.has(descriptor)) {
        step.done('is there already')
        return
      }
      const content = this.#counted(descriptor, step)
      await this.#destination.blob(content, descriptor)
      step.done()
    } catch (error) {
      step.fail()
      throw error
    }
  }
}

function describe(
  layer: Descriptor,
  name: ContentName,
  made: {
    readonly mediaType: string
    readonly annotations?: Readonly<Record<string, string>>
  },
): Descriptor {
  const { data: _data, annotations: _annotations, ...kept } = layer
  const { mediaType, annotations } = made
  const has = annotations !== undefined && Object.keys(annotations).length > 0
  return {
    ...kept,
    mediaType,
    digest: name.digest,
    size: name.size,
    ...(has ? { annotations } : {}),
  }
}

// Build attestations name the digest of the image they describe, in an annotation of the index.
function renamed(index: ImageIndex, entries: readonly Descriptor[]): Descriptor[] {
  const names = new Map(index.manifests.map(({ digest }, i) => [digest, entries[i]?.digest]))
  return entries.map((entry) => {
    const current = names.get(entry.annotations?.[REFERENCE_DIGEST] ?? '')
    if (current === undefined) return entry
    return { ...entry, annotations: { ...entry.annotations, [REFERENCE_DIGEST]: current } }
  })
}

function checkDestinationDigest(destination: ImageDestination, digest: string): void {
  const wanted = destination.reference?.digest
  if (wanted === undefined || wanted === digest) return
  throw new ImageError(
    'IMAGE_DIGEST_CHANGES',
    `writing ${destination.text}: the image has the digest ${digest}`,
    { next: 'name the destination by a tag' },
  )
}

function digestChanges(source: ImageSource, digest: string): ImageError {
  return new ImageError(
    'IMAGE_DIGEST_CHANGES',
    `copying ${source.text}: manifest ${short(digest)} must be written anew`,
  )
}

function short(digest: string): string {
  return digest.slice(0, digest.indexOf(':') + 13)
}
