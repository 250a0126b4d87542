import { toBase64 } from '#lib/bytes'
import {
  base64,
  integer,
  type JsonObject,
  nullable,
  optional,
  string,
  stringMap,
  strings,
} from '#lib/json'
import { checkContent, checkDigest } from './digest.ts'
import { defined, members, openObject } from './strict.ts'

/** The platform for which an entry of an index was built. */
export interface Platform {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
  readonly osVersion?: string
  readonly osFeatures?: readonly string[]
}

/** A reference to content by digest (OCI image specification, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string
  readonly digest: string
  /** Bytes, at most 2^53 - 1. */
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
  readonly urls?: readonly string[]
  readonly platform?: Platform
  readonly artifactType?: string
  /** The content itself; already checked against `size` and `digest`. */
  readonly data?: Uint8Array
}

const MEDIA_TYPE =
  /^[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}\/[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,126}$/
const OLD_MEDIA_TYPE = /^[\x21-\x7e]{1,255}$/
const DESCRIPTOR = members(
  'mediaType',
  'digest',
  'size',
  'annotations',
  'urls',
  'platform',
  'artifactType',
  'data',
)
const PLATFORM = members('os', 'architecture', 'variant', 'os.version', 'os.features')

/**
 * Reads a descriptor. Inline `data` must have the size and digest that the descriptor says.
 * Throws FormatError, or OciError `IMAGE_DIGEST_INVALID`, `IMAGE_SIZE_MISMATCH`,
 * `IMAGE_DIGEST_MISMATCH`.
 */
export function parseDescriptor(value: unknown, name: string): Descriptor {
  const found = openObject(value, name, DESCRIPTOR)
  const descriptor: Descriptor = {
    mediaType: mediaType(found.mediaType, `${name}.mediaType`),
    digest: checkDigest(string(found.digest, `${name}.digest`, { max: 256 }), `${name}.digest`),
    size: integer(found.size, `${name}.size`),
    ...defined({
      annotations: annotations(found, name),
      urls: nullable(found.urls, (urls) =>
        strings(urls, `${name}.urls`, { max: 4096, maxItems: 64 }),
      ),
      platform: nullable(found.platform, (platform) => parsePlatform(platform, `${name}.platform`)),
      artifactType: optional(found.artifactType, (type) => string(type, `${name}.artifactType`)),
      data: nullable(found.data, (data) => base64(data, `${name}.data`)),
    }),
  }
  if (descriptor.data !== undefined) checkContent(descriptor.data, descriptor, `${name}.data`)
  return descriptor
}

/** Reads the annotations of a manifest, index or descriptor; `null` is absent. */
export function annotations(
  owner: JsonObject,
  name: string,
): Readonly<Record<string, string>> | undefined {
  return nullable(owner.annotations, (map) =>
    stringMap(map, `${name}.annotations`, { max: 4 * 1024 * 1024, maxItems: 1024 }),
  )
}

/** Reads a media type: printable, at most 255 characters; parameters are not part of one. */
export function mediaType(value: unknown, name: string): string {
  const text = string(value, name, { pattern: OLD_MEDIA_TYPE })
  return string(text, name, { pattern: MEDIA_TYPE })
}

/** A descriptor as JSON value, in the member order that other tools write. */
export function encodeDescriptor(descriptor: Descriptor): JsonObject {
  const { platform } = descriptor
  return {
    mediaType: descriptor.mediaType,
    digest: descriptor.digest,
    size: descriptor.size,
    ...defined({
      data: descriptor.data === undefined ? undefined : toBase64(descriptor.data),
      urls: descriptor.urls === undefined ? undefined : [...descriptor.urls],
      annotations: descriptor.annotations === undefined ? undefined : { ...descriptor.annotations },
      artifactType: descriptor.artifactType,
      platform: platform === undefined ? undefined : encodePlatform(platform),
    }),
  } as JsonObject
}

function parsePlatform(value: unknown, name: string): Platform {
  const found = openObject(value, name, PLATFORM)
  const text = (member: string): string => string(found[member], `${name}.${member}`, { max: 128 })
  return {
    os: text('os'),
    architecture: text('architecture'),
    ...defined({
      variant: optional(found.variant, () => text('variant')),
      osVersion: optional(found['os.version'], () => text('os.version')),
      osFeatures: nullable(found['os.features'], (list) =>
        strings(list, `${name}.os.features`, { max: 128, maxItems: 64 }),
      ),
    }),
  }
}

function encodePlatform(platform: Platform): JsonObject {
  return {
    architecture: platform.architecture,
    os: platform.os,
    ...defined({
      'os.version': platform.osVersion,
      'os.features': platform.osFeatures === undefined ? undefined : [...platform.osFeatures],
      variant: platform.variant,
    }),
  } as JsonObject
}
