import {
  type ContentName,
  type Descriptor,
  type Manifest,
  type ManifestFormat,
  OciError,
  type Reference,
} from '#lib/oci'

/** A manifest or index as it was served: its digest names exactly these bytes. */
export interface ServedManifest {
  readonly bytes: Uint8Array
  readonly mediaType: string
  readonly digest: string
  /** The parsed bytes; they were strict and unambiguous. */
  readonly manifest: Manifest
}

/** Where an image is read from: one name in a registry or in an OCI layout. */
export interface ImageSource extends AsyncDisposable {
  /** As the user wrote it, with its transport: `docker://…`, `oci:…`. */
  readonly text: string
  /** The image's name; undefined for transports whose images have none. */
  readonly reference: Reference | undefined
  /** The manifest or index that the name stands for. */
  top(): Promise<ServedManifest>
  /** A manifest that another one lists; checked against size and digest of the entry. */
  listed(entry: Descriptor): Promise<ServedManifest>
  /**
   * The manifest under another tag of the same repository, such as `sha256-<hex>.sig`;
   * undefined if there is none.
   */
  tagged(tag: string): Promise<ServedManifest | undefined>
  /** Descriptors of all manifests whose `subject` is `digest`; empty if none or not known. */
  referrers(digest: string): Promise<readonly Descriptor[]>
  /**
   * The content of a blob, checked while it passes: the loop throws if a byte is missing,
   * surplus or wrong. Only after it has ended is what was yielded worth anything.
   */
  blob(descriptor: Descriptor): AsyncIterable<Uint8Array>
}

/** Where an image is written. Nothing is visible under its name before `commit`. */
export interface ImageDestination extends AsyncDisposable {
  /** As the user wrote it, with its transport. */
  readonly text: string
  /** The image's name; undefined for transports whose images have none. */
  readonly reference: Reference | undefined
  /** The only family of manifests that may be written here; undefined: any. */
  readonly requiredFormat?: ManifestFormat
  /** True if the blob is there already and need not be sent. */
  has(content: ContentName): Promise<boolean>
  /**
   * Stores a blob and returns its digest and size. With `known`, other content is refused
   * (`IMAGE_SIZE_MISMATCH`, `IMAGE_DIGEST_MISMATCH`); without, the digest is taken from the
   * stream, as for layers that are encrypted on their way.
   */
  blob(source: AsyncIterable<Uint8Array>, known?: ContentName): Promise<ContentName>
  /**
   * Stores a manifest that is listed by another one, or, with `tag`, stands under a tag of
   * its own (`sha256-<hex>.sig`). All it refers to must have been stored.
   */
  manifest(bytes: Uint8Array, mediaType: string, tag?: string): Promise<ContentName>
  /**
   * The manifest stored under another tag of the same repository; undefined if there is
   * none. Signers read it to append.
   */
  tagged(tag: string): Promise<ServedManifest | undefined>
  /** Stores the top manifest or index and makes the image visible under its name. */
  commit(bytes: Uint8Array, mediaType: string): Promise<ContentName>
}

/** Reads one small blob (a configuration, a signature payload) whole; it was checked. */
export async function readBlob(
  source: Pick<ImageSource, 'blob'>,
  descriptor: Descriptor,
  max: number,
): Promise<Uint8Array> {
  if (descriptor.size > max) {
    throw new OciError(
      'IMAGE_SIZE_MISMATCH',
      `reading blob ${descriptor.digest}: it has ${descriptor.size} bytes, the limit is ${max}`,
    )
  }
  const whole = new Uint8Array(descriptor.size)
  let at = 0
  for await (const chunk of source.blob(descriptor)) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}
