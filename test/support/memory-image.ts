import { concat } from '#lib/bytes'
import {
  type ContentName,
  type Descriptor,
  digestOf,
  encodeManifest,
  type ImageManifest,
  MEDIA_TYPES,
  parseManifest,
  parseReference,
  type Reference,
} from '#lib/oci'
import type {
  ImageDestination,
  ImageSource,
  ServedManifest,
} from '../../src/owner/image/transport.ts'

/** A repository in memory that is source and destination at once. */
export class MemoryImage implements ImageSource, ImageDestination {
  readonly text: string
  readonly reference: Reference | undefined
  readonly blobs: Map<string, Uint8Array> = new Map()
  readonly manifests: Map<string, ServedManifest> = new Map()
  readonly tags: Map<string, string> = new Map()
  #top: string | undefined

  constructor(name: string | undefined) {
    this.reference = name === undefined ? undefined : parseReference(name)
    this.text = name === undefined ? 'memory:' : `docker://${name}`
  }

  /** Stores an image of these layers as the top manifest; returns its digest. */
  async put(
    layers: readonly Uint8Array[],
    config: Uint8Array,
    types: readonly string[] = [],
  ): Promise<string> {
    const add = (bytes: Uint8Array, mediaType: string): Descriptor => {
      this.blobs.set(digestOf(bytes), bytes)
      return { mediaType, digest: digestOf(bytes), size: bytes.length }
    }
    const manifest: ImageManifest = {
      kind: 'manifest',
      mediaType: MEDIA_TYPES.ociManifest,
      config: add(config, MEDIA_TYPES.ociConfig),
      layers: layers.map((bytes, i) => add(bytes, types[i] ?? MEDIA_TYPES.ociLayerGzip)),
    }
    return (await this.commit(encodeManifest(manifest), manifest.mediaType)).digest
  }

  async top(): Promise<ServedManifest> {
    return this.#served(this.#top ?? '')
  }

  async listed(entry: Descriptor): Promise<ServedManifest> {
    return this.#served(entry.digest)
  }

  async tagged(tag: string): Promise<ServedManifest | undefined> {
    const digest = this.tags.get(tag)
    return digest === undefined ? undefined : this.#served(digest)
  }

  async referrers(): Promise<readonly Descriptor[]> {
    return []
  }

  async has({ digest }: ContentName): Promise<boolean> {
    return this.blobs.has(digest)
  }

  blob(descriptor: Descriptor): AsyncIterable<Uint8Array>
  blob(source: AsyncIterable<Uint8Array>, known?: ContentName): Promise<ContentName>
  blob(
    of: Descriptor | AsyncIterable<Uint8Array>,
  ): AsyncIterable<Uint8Array> | Promise<ContentName> {
    return Symbol.asyncIterator in of ? this.#store(of) : this.#read(of.digest)
  }

  async manifest(bytes: Uint8Array, mediaType: string, tag?: string): Promise<ContentName> {
    const digest = digestOf(bytes)
    this.manifests.set(digest, {
      bytes,
      mediaType,
      digest,
      manifest: parseManifest(bytes, mediaType),
    })
    if (tag !== undefined) this.tags.set(tag, digest)
    return { digest, size: bytes.length }
  }

  async commit(bytes: Uint8Array, mediaType: string): Promise<ContentName> {
    const name = await this.manifest(bytes, mediaType)
    this.#top = name.digest
    return name
  }

  async [Symbol.asyncDispose](): Promise<void> {}

  #served(digest: string): ServedManifest {
    const found = this.manifests.get(digest)
    if (found === undefined) throw new Error(`no manifest ${digest}`)
    return found
  }

  async #store(source: AsyncIterable<Uint8Array>): Promise<ContentName> {
    const parts: Uint8Array[] = []
    for await (const part of source) parts.push(part)
    const bytes = concat(...parts)
    this.blobs.set(digestOf(bytes), bytes)
    return { digest: digestOf(bytes), size: bytes.length }
  }

  async *#read(digest: string): AsyncGenerator<Uint8Array> {
    const bytes = this.blobs.get(digest)
    if (bytes === undefined) throw new Error(`no blob ${digest}`)
    yield bytes
  }
}
