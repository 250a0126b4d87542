import { utf8 } from '#lib/bytes'
import { array, integer, type JsonObject, nullable, optional, parseJson, string } from '#lib/json'
import {
  annotations,
  type Descriptor,
  encodeDescriptor,
  mediaType,
  parseDescriptor,
} from './descriptor.ts'
import { quote } from './digest.ts'
import { isIndexType, isManifestType, MEDIA_TYPES } from './media-type.ts'
import { OciError } from './oci-error.ts'
import { defined, members, openObject, parsing } from './strict.ts'

/** One image, or an artifact if `config.mediaType` is no image configuration. */
export interface ImageManifest {
  readonly kind: 'manifest'
  readonly mediaType: string
  readonly artifactType?: string
  readonly config: Descriptor
  /** Base layer first. */
  readonly layers: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations?: Readonly<Record<string, string>>
}

/** A list of manifests, one a platform; also the answer of the referrers interface. */
export interface ImageIndex {
  readonly kind: 'index'
  readonly mediaType: string
  readonly artifactType?: string
  readonly manifests: readonly Descriptor[]
  readonly subject?: Descriptor
  readonly annotations?: Readonly<Record<string, string>>
}

/** What a manifest request can answer. */
export type Manifest = ImageManifest | ImageIndex

/** Largest manifest, index or configuration that is read, in bytes. */
export const MAX_MANIFEST_SIZE: number = 4 * 1024 * 1024
const MAX_LAYERS = 512
const MAX_MANIFESTS = 4096

const TOP = members(
  'schemaVersion',
  'mediaType',
  'artifactType',
  'config',
  'layers',
  'manifests',
  'subject',
  'annotations',
  // Members of schema 1, which is refused; naming them catches a document of both schemas.
  'fsLayers',
  'signatures',
)

/**
 * Parses the exact bytes of a manifest or index that was served, or listed, under `type`
 * (a Content-Type without parameters, or the media type of a descriptor). `undefined` or a
 * type that says nothing (`application/json`) takes the document's own word.
 *
 * A document with members of both kinds, or whose `mediaType` differs from `type`, throws
 * `IMAGE_MANIFEST_AMBIGUOUS` (CVE-2021-41190). Else `IMAGE_MANIFEST_INVALID`,
 * `IMAGE_MEDIA_TYPE_UNSUPPORTED`.
 */
export function parseManifest(bytes: Uint8Array, type: string | undefined): Manifest {
  return parsing('IMAGE_MANIFEST_INVALID', 'the manifest', () => {
    const json = parseJson(bytes, { maxBytes: MAX_MANIFEST_SIZE, name: 'manifest' })
    const found = openObject(json, 'manifest', TOP)
    const own = optional(found.mediaType, (value) => mediaType(value, 'manifest.mediaType'))
    const actual = decideType(type, own, found)
    integer(found.schemaVersion, 'manifest.schemaVersion', 2, 2)
    const both = isManifestType(actual) ? ['manifests'] : ['config', 'layers']
    const stray = [...both, 'fsLayers', 'signatures'].find((member) => Object.hasOwn(found, member))
    if (stray !== undefined) {
      throw new OciError(
        'IMAGE_MANIFEST_AMBIGUOUS',
        `reading a document of type ${actual}: it also has the member ${stray}`,
      )
    }
    const shared = defined({
      artifactType: optional(found.artifactType, (value) =>
        string(value, 'manifest.artifactType', { max: 255 }),
      ),
      subject: nullable(found.subject, (value) => parseDescriptor(value, 'manifest.subject')),
      annotations: annotations(found, 'manifest'),
    })
    if (isIndexType(actual)) {
      const manifests = descriptors(found.manifests, 'manifest.manifests', MAX_MANIFESTS)
      return { kind: 'index', mediaType: actual, manifests, ...shared }
    }
    return {
      kind: 'manifest',
      mediaType: actual,
      config: parseDescriptor(found.config, 'manifest.config'),
      layers: descriptors(found.layers, 'manifest.layers', MAX_LAYERS),
      ...shared,
    }
  })
}

/** As `parseManifest`; throws `IMAGE_MANIFEST_INVALID` if it is an index. */
export function parseImageManifest(bytes: Uint8Array, type: string | undefined): ImageManifest {
  const manifest = parseManifest(bytes, type)
  if (manifest.kind === 'manifest') return manifest
  throw new OciError('IMAGE_MANIFEST_INVALID', 'reading a manifest: found an index')
}

/** As `parseManifest`; throws `IMAGE_MANIFEST_INVALID` if it is a manifest. */
export function parseImageIndex(bytes: Uint8Array, type: string | undefined): ImageIndex {
  const manifest = parseManifest(bytes, type)
  if (manifest.kind === 'index') return manifest
  throw new OciError('IMAGE_MANIFEST_INVALID', 'reading an index: found a manifest')
}

/**
 * Bytes of a manifest or index that we make. Never used on one that was read and is passed
 * on: its digest names the bytes as they were served.
 */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const { artifactType, subject } = manifest
  const body: JsonObject = {
    schemaVersion: 2,
    mediaType: manifest.mediaType,
    ...(artifactType === undefined ? {} : { artifactType }),
    ...(manifest.kind === 'index'
      ? { manifests: manifest.manifests.map(encodeDescriptor) }
      : {
          config: encodeDescriptor(manifest.config),
          layers: manifest.layers.map(encodeDescriptor),
        }),
    ...(subject === undefined ? {} : { subject: encodeDescriptor(subject) }),
    ...(manifest.annotations === undefined ? {} : { annotations: { ...manifest.annotations } }),
  }
  return utf8(JSON.stringify(body))
}

/** Types under which servers hand out any JSON. */
const SAYS_NOTHING = new Set(['', 'application/json', 'application/octet-stream', 'text/plain'])

function decideType(type: string | undefined, own: string | undefined, found: JsonObject): string {
  const served = type === undefined || SAYS_NOTHING.has(type) ? undefined : type
  if (served !== undefined && own !== undefined && served !== own) {
    throw new OciError(
      'IMAGE_MANIFEST_AMBIGUOUS',
      `reading a document served as ${quote(served)}: it calls itself ${quote(own)}`,
    )
  }
  const actual = served ?? own ?? impliedType(found)
  if (actual === undefined || !(isManifestType(actual) || isIndexType(actual))) {
    throw new OciError(
      'IMAGE_MEDIA_TYPE_UNSUPPORTED',
      `reading a manifest: ${quote(actual ?? 'no type')} is not an OCI or docker schema 2 type`,
    )
  }
  return actual
}

// `mediaType` is optional in OCI documents. Where the carrier says nothing either, the members
// tell; a document with members of both kinds is refused afterwards whichever is chosen.
function impliedType(found: JsonObject): string | undefined {
  if (Object.hasOwn(found, 'manifests')) return MEDIA_TYPES.ociIndex
  return Object.hasOwn(found, 'layers') ? MEDIA_TYPES.ociManifest : undefined
}

function descriptors(value: unknown, name: string, max: number): Descriptor[] {
  return array(value, name, max).map((item, i) => parseDescriptor(item, `${name}[${i}]`))
}
