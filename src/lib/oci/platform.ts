import type { Descriptor, Platform } from './descriptor.ts'
import { quote } from './digest.ts'
import type { ImageIndex } from './manifest.ts'
import { isIndexType, isManifestType } from './media-type.ts'
import { OciError } from './oci-error.ts'

/** Indexes may hold indexes; more than this many levels are refused. */
export const MAX_INDEX_DEPTH = 3

/**
 * Parses `OS/ARCH[/VARIANT]`, or `ARCH` alone for linux. Throws `IMAGE_PLATFORM_MISSING`.
 */
export function parsePlatformText(text: string): Platform {
  const parts = text.split('/')
  if (parts.length > 3 || parts.some((part) => !/^[A-Za-z0-9._-]{1,64}$/.test(part))) {
    throw new OciError('IMAGE_PLATFORM_MISSING', `${quote(text)} is not OS/ARCH[/VARIANT]`)
  }
  const [first = '', architecture, variant] = parts
  if (architecture === undefined) return { os: 'linux', architecture: first }
  return { os: first, architecture, ...(variant === undefined ? {} : { variant }) }
}

/** `os/architecture[/variant]`. */
export function formatPlatform(platform: Platform): string {
  const variant = platform.variant === undefined ? '' : `/${platform.variant}`
  return `${platform.os}/${platform.architecture}${variant}`
}

/** OCI's name of a machine, from `process.arch` or from `uname -m`; others pass unchanged. */
export function ociArchitecture(machine: string): string {
  return ARCHITECTURES.get(machine) ?? machine
}

const ARCHITECTURES: ReadonlyMap<string, string> = new Map([
  ['x64', 'amd64'],
  ['x86_64', 'amd64'],
  ['aarch64', 'arm64'],
  ['ia32', '386'],
  ['i686', '386'],
  ['ppc64le', 'ppc64le'],
])

/**
 * The entry of an index for `wanted`: same system and architecture, and of the variants that
 * run there the best one (arm v7 also runs v6 and v5; amd64 v3 also runs v2 and v1). Entries of
 * unknown media types and build attestations (`unknown/unknown`) are skipped. An entry that
 * is itself an index may have no platform; it is returned only if no manifest matches.
 * Throws `IMAGE_PLATFORM_MISSING`, with the platforms that exist in `details.available`.
 */
export function selectManifest(index: ImageIndex, wanted: Platform): Descriptor {
  const entries = index.manifests.filter(
    (entry) => isManifestType(entry.mediaType) || isIndexType(entry.mediaType),
  )
  for (const variant of acceptedVariants(wanted)) {
    const found = entries.find(
      ({ platform }) =>
        platform !== undefined &&
        platform.os === wanted.os &&
        platform.architecture === wanted.architecture &&
        normalVariant(platform) === variant,
    )
    if (found !== undefined) return found
  }
  const nested = entries.find(
    (entry) => isIndexType(entry.mediaType) && entry.platform === undefined,
  )
  if (nested !== undefined) return nested
  const available = entries.flatMap(({ platform }) =>
    platform === undefined || platform.os === 'unknown' ? [] : [formatPlatform(platform)],
  )
  throw new OciError(
    'IMAGE_PLATFORM_MISSING',
    `choosing an image for ${formatPlatform(wanted)}: the index has ${available.join(', ') || 'none with a platform'}`,
    { details: { wanted: formatPlatform(wanted), available } },
  )
}

function acceptedVariants(wanted: Platform): (string | undefined)[] {
  const variant = normalVariant(wanted)
  const level = /^v([1-9])$/.exec(variant ?? '')?.[1]
  const lowest = LOWEST_VARIANT.get(wanted.architecture)
  if (level === undefined || lowest === undefined) return [variant]
  const accepted: string[] = []
  for (let n = Number(level); n >= lowest; n--) accepted.push(`v${n}`)
  return accepted.length > 0 ? accepted : [variant]
}

/** Architectures whose variant vN runs programs of lower variants, and the lowest there is. */
const LOWEST_VARIANT: ReadonlyMap<string, number> = new Map([
  ['arm', 5],
  ['arm64', 8],
  ['amd64', 1],
])

/** What a missing variant means. */
const IMPLIED_VARIANT: ReadonlyMap<string, string> = new Map([
  ['arm', 'v7'],
  ['arm64', 'v8'],
  ['amd64', 'v1'],
])

function normalVariant(platform: Platform): string | undefined {
  const { variant } = platform
  if (variant !== undefined && variant !== '') return variant
  return IMPLIED_VARIANT.get(platform.architecture)
}
