import { toHex } from '#lib/bytes'

// Fixed shapes and nothing else: the names are opened in directories that the host fills.
const SPOOLED = /^layer-(0|[1-9][0-9]{0,2})\.sealed$/
const CACHED = /^[0-9a-f]{32}\.sealed$/

/** Where a sealed layer lies: in the pod's own spool, or among those that the node keeps for all. */
export type LayerPlace = 'spool' | 'cache'

/** Name of layer `index` of an image in the spool of its pod. */
export function spooledLayerFile(index: number): string {
  return `layer-${index}.sealed`
}

/** Name of a sealed layer in the node's cache (docs/formats/cache-record.md). `fileId`: 16 bytes. */
export function cachedLayerFile(fileId: Uint8Array): string {
  return `${toHex(fileId)}.sealed`
}

/** The place that a file name belongs to; undefined for a text that is no name of a sealed layer. */
export function layerPlace(file: string): LayerPlace | undefined {
  if (SPOOLED.test(file)) return 'spool'
  return CACHED.test(file) ? 'cache' : undefined
}
