import type { Descriptor } from '#lib/oci'

/** A layer on its way through `copyImage`. */
export interface LayerPlace {
  /** Position in the manifest, 0 = base. */
  readonly index: number
  /** Number of layers of this manifest. */
  readonly count: number
}

/** What becomes of a layer that does not pass unchanged. */
export interface LayerChange {
  /** The new content, read once; absent where only the descriptor changes (a new recipient). */
  readonly content?: (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>
  /** Asked after `content` has ended: media type and annotations of the new descriptor. */
  readonly finish: () => Promise<{
    readonly mediaType: string
    readonly annotations?: Readonly<Record<string, string>>
  }>
}

/**
 * Decides for each layer of each manifest that is copied; undefined lets it pass. Where any
 * layer changes, its manifest becomes an OCI manifest with a new digest.
 */
export type LayerTransform = (
  layer: Descriptor,
  place: LayerPlace,
) => LayerChange | undefined | Promise<LayerChange | undefined>
