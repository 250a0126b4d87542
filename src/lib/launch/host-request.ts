import { FormatError } from '#lib/bytes'
import {
  array,
  boolean,
  object,
  oneOf,
  optional,
  parseJson,
  string,
  stringMap,
  strings,
} from '#lib/json'
import { LaunchError } from './launch-error.ts'
import { parseResources, type Resources } from './resources.ts'
import { parseScratchRequest, type ScratchKind } from './scratch-policy.ts'

/** A mount of the host that somebody asks for. None is granted in this version. */
export interface MountRequest {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
}

/**
 * What the host asks of one launch. All of it is hostile: some members are only parsed and
 * re-rendered (hostname, resolv.conf, hosts, cgroup, limits), the others need a grant of the owner's
 * launch policy, one by one (docs/launch.md).
 */
export interface HostRequest {
  readonly args?: readonly string[]
  readonly entrypoint?: readonly string[]
  readonly env: Readonly<Record<string, string>>
  readonly user?: string
  readonly workdir?: string
  readonly tty: boolean
  readonly stdin: boolean
  readonly mounts: readonly MountRequest[]
  readonly hostname?: string
  readonly resolvConf?: string
  readonly hosts?: string
  readonly cgroupsPath?: string
  readonly resources: Resources
  /** The writable layer, size in bytes; disk needs a grant. Without it the owner's policy decides. */
  readonly scratch?: { readonly kind: ScratchKind; readonly size?: number }
  readonly network: 'host'
  /** Show causes of refusals to the host; honoured on the simulated platform only. */
  readonly explain: boolean
}

/** Largest document, in bytes. */
export const MAX_REQUEST_BYTES = 1_048_576
const MEMBERS = [
  'args',
  'entrypoint',
  'env',
  'user',
  'workdir',
  'tty',
  'stdin',
  'mounts',
  'hostname',
  'resolvConf',
  'hosts',
  'cgroupsPath',
  'resources',
  'scratch',
  'network',
  'explain',
]
// A NUL would end the string for the kernel, but not for the policy that approved it.
const NO_NUL = /^[^\0]*$/
const ARGUMENTS = { max: 131_072, maxItems: 4096, pattern: NO_NUL }
const TEXT = { max: 65_536, pattern: NO_NUL }

/** Parses the JSON of a launch request. Unknown members are refused. Throws `LAUNCH_REQUEST_INVALID`. */
export function parseHostRequest(bytes: Uint8Array): HostRequest {
  try {
    const name = 'request'
    const json = parseJson(bytes, { maxBytes: MAX_REQUEST_BYTES, name })
    return hostRequest(object(json, name, MEMBERS))
  } catch (error) {
    if (!(error instanceof FormatError)) throw error
    throw new LaunchError('LAUNCH_REQUEST_INVALID', error.message, { cause: error })
  }
}

function hostRequest(found: Readonly<Record<string, unknown>>): HostRequest {
  const text = (member: string, pattern = NO_NUL): string | undefined =>
    optional(found[member], (v) => string(v, `request.${member}`, { max: 65_536, pattern }))
  const list = (member: string): string[] | undefined =>
    optional(found[member], (v) => strings(v, `request.${member}`, ARGUMENTS))
  const flag = (member: string): boolean =>
    optional(found[member], (v) => boolean(v, `request.${member}`)) ?? false
  return {
    ...defined({
      args: list('args'),
      entrypoint: list('entrypoint'),
      user: text('user'),
      workdir: text('workdir'),
      hostname: text('hostname'),
      resolvConf: text('resolvConf'),
      hosts: text('hosts'),
      cgroupsPath: text('cgroupsPath'),
      scratch: optional(found.scratch, (v) => parseScratchRequest(v, 'request.scratch')),
    }),
    env: optional(found.env, (v) => stringMap(v, 'request.env', { ...TEXT, maxItems: 4096 })) ?? {},
    tty: flag('tty'),
    stdin: flag('stdin'),
    explain: flag('explain'),
    mounts: optional(found.mounts, (v) => array(v, 'request.mounts', 256).map(mount)) ?? [],
    resources: parseResources(found.resources ?? {}, 'request.resources'),
    network: oneOf(found.network ?? 'host', 'request.network', ['host']),
  }
}

function mount(value: unknown, index: number): MountRequest {
  const name = `request.mounts[${index}]`
  const found = object(value, name, ['source', 'target', 'readOnly'])
  return {
    source: string(found.source, `${name}.source`, { max: 4096, pattern: NO_NUL }),
    target: string(found.target, `${name}.target`, { max: 4096, pattern: NO_NUL }),
    readOnly: optional(found.readOnly, (v) => boolean(v, `${name}.readOnly`)) ?? false,
  }
}

/** The object without members that are undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(value).filter(([, v]) => v !== undefined)) as {
    [K in keyof T]?: NonNullable<T[K]>
  }
}
