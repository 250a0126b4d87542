import { type ImageManifest, isIndexType, isManifestType, MAX_INDEX_DEPTH } from '#lib/oci'
import { ProtectError } from './protect-error.ts'
import type { ImageSource, ServedManifest } from './transport.ts'

/** One manifest of an image, with the bytes that its digest names. */
export interface ListedManifest {
  readonly served: ServedManifest
  readonly manifest: ImageManifest
}

/** All manifests of an image: the one, or each that its index lists, indexes within followed. */
export async function* eachManifest(source: ImageSource): AsyncGenerator<ListedManifest> {
  yield* within(source, await source.top(), 0)
}

async function* within(
  source: ImageSource,
  served: ServedManifest,
  depth: number,
): AsyncGenerator<ListedManifest> {
  const { manifest } = served
  if (manifest.kind === 'manifest') {
    yield { served, manifest }
    return
  }
  if (depth >= MAX_INDEX_DEPTH) {
    throw new ProtectError('FORMAT_LIMIT', `reading ${source.text}: indexes are nested too deep`)
  }
  for (const entry of manifest.manifests) {
    if (!isManifestType(entry.mediaType) && !isIndexType(entry.mediaType)) continue
    yield* within(source, await source.listed(entry), depth + 1)
  }
}
