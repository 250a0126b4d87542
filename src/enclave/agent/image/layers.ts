import type { HandoverLayer } from '#lib/handover'
import type { Descriptor } from '#lib/oci'
import type { OpenedLayer } from '#lib/ocicrypt'
import type { RegistryClient } from '#lib/registry'

/** A layer of the manifest, with its key where it is encrypted. */
export interface SourceLayer {
  readonly descriptor: Descriptor
  /** Digest of the decrypted, decompressed archive, from the image configuration. */
  readonly diffId: string
  readonly opened: OpenedLayer | undefined
}

/** Options of `SealLayers`. */
export interface SealOptions {
  readonly client: RegistryClient
  readonly signal: AbortSignal
  /** Bytes fetched so far, of all layers. */
  readonly onProgress: (done: number, total: number) => void
}

/** Fetches, verifies and seals the layers of an image, base first. The caller wipes the keys of the result. */
export type SealLayers = (
  layers: readonly SourceLayer[],
  options: SealOptions,
) => Promise<readonly HandoverLayer[]>

/** Name of a sealed layer in the spool. */
export function sealedName(index: number): string {
  return `layer-${index}.sealed`
}
