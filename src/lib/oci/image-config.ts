import { FormatError } from '#lib/bytes'
import { array, nullable, object, optional, parseJson, string, stringMap, strings } from '#lib/json'
import type { Platform } from './descriptor.ts'
import { checkDigest } from './digest.ts'
import { type ImageManifest, MAX_MANIFEST_SIZE } from './manifest.ts'
import { OciError } from './oci-error.ts'
import { defined, members, openObject, parsing } from './strict.ts'

/** What the image says of the process to start. Absent members are '' or empty. */
export interface ProcessConfig {
  /** `''`, `name`, `uid`, each with `:group` perhaps. */
  readonly User: string
  /** `NAME=VALUE` in order. */
  readonly Env: readonly string[]
  readonly Entrypoint: readonly string[]
  readonly Cmd: readonly string[]
  readonly WorkingDir: string
  /** Paths. */
  readonly Volumes: readonly string[]
  /** `SIGTERM`, `15` or ''. */
  readonly StopSignal: string
  /** `port`, `port/tcp`, `port/udp`. */
  readonly ExposedPorts: readonly string[]
  readonly Labels: Readonly<Record<string, string>>
}

/** The configuration of an image (OCI image specification, config.md); other members are ignored. */
export interface ImageConfig {
  readonly os: string
  readonly architecture: string
  readonly variant?: string
  /** RFC 3339, as the builder wrote it. */
  readonly created?: string
  readonly config: ProcessConfig
  readonly rootfs: {
    /** Digests of the uncompressed, decrypted layers, base first. */
    readonly diffIds: readonly string[]
  }
}

const MAX_DIFF_IDS = 512
const TOP = members('os', 'architecture', 'variant', 'created', 'config', 'rootfs')
const ROOTFS = members('type', 'diff_ids')
const CONFIG = members(
  'User',
  'Env',
  'Entrypoint',
  'Cmd',
  'WorkingDir',
  'Volumes',
  'StopSignal',
  'ExposedPorts',
  'Labels',
)
// A NUL would end the string for the kernel, but not for whoever approved it.
const NO_NUL = /^[^\0]*$/
const LIMITS = { max: 128 * 1024, pattern: NO_NUL, maxItems: 4096 } as const

/** Parses an image configuration of at most 4 MiB. Throws `IMAGE_CONFIG_INVALID`. */
export function parseImageConfig(bytes: Uint8Array): ImageConfig {
  return parsing('IMAGE_CONFIG_INVALID', 'the image configuration', () => {
    const json = parseJson(bytes, { maxBytes: MAX_MANIFEST_SIZE, name: 'image configuration' })
    const found = openObject(json, 'config', TOP)
    const rootfs = openObject(found.rootfs, 'config.rootfs', ROOTFS)
    string(rootfs.type, 'config.rootfs.type', { pattern: /^layers$/ })
    const diffIds = nullable(rootfs.diff_ids, (list) =>
      array(list, 'config.rootfs.diff_ids', MAX_DIFF_IDS).map((item, i) => {
        const name = `config.rootfs.diff_ids[${i}]`
        return checkDigest(string(item, name, { max: 256 }), name)
      }),
    )
    return {
      os: string(found.os, 'config.os', { max: 64 }),
      architecture: string(found.architecture, 'config.architecture', { max: 64 }),
      ...defined({
        variant: optional(found.variant, (v) => string(v, 'config.variant', { max: 64 })),
        created: nullable(found.created, (v) => string(v, 'config.created', { max: 64 })),
      }),
      config: processConfig(found.config ?? {}),
      rootfs: { diffIds: diffIds ?? [] },
    }
  })
}

/**
 * Checks that a configuration belongs to its manifest, and to the platform if one is given:
 * as many diff_ids as layers, the operating system and architecture that were asked for.
 * Throws `IMAGE_CONFIG_INVALID` or `IMAGE_PLATFORM_MISSING`.
 */
export function checkImageConfig(
  config: ImageConfig,
  manifest: ImageManifest,
  platform?: Platform,
): void {
  const layers = manifest.layers.length
  const diffIds = config.rootfs.diffIds.length
  if (layers !== diffIds) {
    throw new OciError(
      'IMAGE_CONFIG_INVALID',
      `reading the image configuration: it names ${diffIds} layers, the manifest has ${layers}`,
    )
  }
  if (platform === undefined) return
  if (config.os !== platform.os || config.architecture !== platform.architecture) {
    throw new OciError(
      'IMAGE_PLATFORM_MISSING',
      `the image is for ${config.os}/${config.architecture}, wanted is ${platform.os}/${platform.architecture}`,
    )
  }
}

function processConfig(value: unknown): ProcessConfig {
  const found = openObject(value, 'config.config', CONFIG)
  const text = (member: string): string =>
    nullable(found[member], (v) => string(v, `config.config.${member}`, LIMITS)) ?? ''
  const list = (member: string): string[] =>
    nullable(found[member], (v) => strings(v, `config.config.${member}`, LIMITS)) ?? []
  const keys = (member: string): string[] =>
    nullable(found[member], (v) => setOfNames(v, `config.config.${member}`)) ?? []
  return {
    User: text('User'),
    Env: list('Env'),
    Entrypoint: list('Entrypoint'),
    Cmd: list('Cmd'),
    WorkingDir: text('WorkingDir'),
    Volumes: keys('Volumes'),
    StopSignal: text('StopSignal'),
    ExposedPorts: keys('ExposedPorts'),
    Labels:
      nullable(found.Labels, (v) =>
        stringMap(v, 'config.config.Labels', { max: 1024 * 1024, maxItems: 4096 }),
      ) ?? {},
  }
}

// A set in Go's JSON: an object with empty objects as values.
function setOfNames(value: unknown, name: string): string[] {
  const names = Object.keys(object(value, name))
  if (names.length > LIMITS.maxItems) {
    throw new FormatError('FORMAT_LIMIT', name, 0, `has over ${LIMITS.maxItems} members`)
  }
  return names.map((item) => string(item, name, { max: 4096, pattern: NO_NUL }))
}
