import {
  type ImageManifest,
  MAX_INDEX_DEPTH,
  OciError,
  type Platform,
  selectManifest,
} from '#lib/oci'
import type { ImageSource, ServedManifest } from './transport.ts'

/** A manifest of one image, with the platform that the index gave it, if any. */
export interface ChosenImage {
  readonly served: ServedManifest
  readonly manifest: ImageManifest
  readonly platform: Platform | undefined
}

/** Follows indexes down to the image for `wanted`. Throws `IMAGE_PLATFORM_MISSING`. */
export async function chooseImage(
  source: ImageSource,
  top: ServedManifest,
  wanted: Platform,
): Promise<ChosenImage> {
  let served = top
  let platform: Platform | undefined
  for (let depth = 0; served.manifest.kind === 'index'; depth++) {
    if (depth >= MAX_INDEX_DEPTH) throw tooDeep(source)
    const entry = selectManifest(served.manifest, wanted)
    platform = entry.platform ?? platform
    served = await source.listed(entry)
  }
  return { served, manifest: served.manifest, platform }
}

function tooDeep(source: ImageSource): OciError {
  return new OciError(
    'IMAGE_MANIFEST_INVALID',
    `reading ${source.text}: indexes lie in one another more than ${MAX_INDEX_DEPTH} deep`,
  )
}
