import { utf8 } from '#lib/bytes'
import {
  array,
  boolean,
  canonicalize,
  integer,
  object,
  oneOf,
  parseJson,
  string,
  strings,
} from '#lib/json'
import { layerPlace } from '#lib/sealed'
import { isCleanPath } from './never-grantable.ts'
import { parseResources, type Resources } from './resources.ts'
import { parseScratchPolicy, type ScratchPolicy } from './scratch-policy.ts'
import { signalNumber } from './signals.ts'

/**
 * Everything that decides what runs in one container. The agent constructs it from the verified image
 * and the owner's policy, and hands it to init inside the handover (`docs/formats/launch-config.md`).
 */
export interface LaunchConfig {
  readonly version: 1
  readonly containerId: string
  readonly hostname: string
  /** At least one; the program is looked up along `PATH` inside the root filesystem. */
  readonly args: readonly string[]
  /** `NAME=VALUE`, each name once. */
  readonly env: readonly string[]
  /** Absolute and clean; created if it does not exist. */
  readonly cwd: string
  /** `''` (root), `NAME` or `UID`, each perhaps with `:GROUP`; resolved inside the root filesystem. */
  readonly user: string
  /** Whether the host sees what the container writes. */
  readonly stdio: 'plain' | 'drop'
  readonly tty: false
  /** `SIGTERM`, `SIGRTMIN+3`, … */
  readonly stopSignal: string
  /** Directories that are writable and private whatever the root filesystem is, with what the image has there. */
  readonly volumes: readonly string[]
  readonly readonlyRootfs: boolean
  /** The writable layer. */
  readonly scratch: ScratchPolicy
  readonly network: 'host'
  /** Content of `/etc/hosts` and `/etc/resolv.conf`, rendered from parsed values. */
  readonly hosts: string
  readonly resolvConf: string
  readonly cgroupsPath: string
  readonly resources: Resources
  /** Names of the sealed layers, in spool or cache, base layer first. */
  readonly layers: readonly { readonly file: string }[]
}

/** Most layers: what one page of mount options holds with our short paths (docs/rootfs.md). */
export const MAX_LAYERS = 127
/** Largest document, in bytes. */
export const MAX_LAUNCH_BYTES: number = 1024 * 1024
/** Pattern of a container id. */
export const CONTAINER_ID: RegExp = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$/
/** Pattern of a host name inside a container. */
export const HOSTNAME: RegExp = /^[A-Za-z0-9]([A-Za-z0-9-]{0,62}[A-Za-z0-9])?$/
/** Pattern of a cgroup path; `..` is refused beside it. */
export const CGROUP_PATH: RegExp = /^\/?[A-Za-z0-9_.:@-]+(\/[A-Za-z0-9_.:@-]+){0,31}$/

const NO_NUL = /^[^\0]*$/
const ENV = /^[^=\0]+=[^\0]*$/
const MEMBERS = [
  'version',
  'containerId',
  'hostname',
  'args',
  'env',
  'cwd',
  'user',
  'stdio',
  'tty',
  'stopSignal',
  'volumes',
  'readonlyRootfs',
  'scratch',
  'network',
  'hosts',
  'resolvConf',
  'cgroupsPath',
  'resources',
  'layers',
]

/** The canonical bytes (JCS) of a launch configuration. */
export function encodeLaunchConfig(config: LaunchConfig): Uint8Array {
  return utf8(canonicalize(config as never))
}

/** Parses a launch configuration: every member present, none unknown. Throws FormatError. */
export function parseLaunchConfig(bytes: Uint8Array): LaunchConfig {
  const json = parseJson(bytes, { maxBytes: MAX_LAUNCH_BYTES, name: 'launch' })
  const found = object(json, 'launch', MEMBERS)
  const text = (member: string, pattern = NO_NUL, max = 262_144): string =>
    string(found[member], `launch.${member}`, { max, pattern })
  integer(found.version, 'launch.version', 1, 1)
  oneOf(String(found.tty), 'launch.tty', ['false'])
  const args = strings(found.args, 'launch.args', {
    max: 131_072,
    maxItems: 4096,
    pattern: NO_NUL,
  })
  string(args[0], 'launch.args[0]')
  return {
    version: 1,
    containerId: text('containerId', CONTAINER_ID),
    hostname: text('hostname', HOSTNAME),
    args,
    env: strings(found.env, 'launch.env', { max: 131_072, maxItems: 8192, pattern: ENV }),
    cwd: path(found.cwd, 'launch.cwd'),
    user: text('user', NO_NUL, 256),
    stdio: oneOf(found.stdio, 'launch.stdio', ['plain', 'drop']),
    tty: false,
    stopSignal: signal(found.stopSignal),
    volumes: array(found.volumes, 'launch.volumes', 64).map((v, i) =>
      path(v, `launch.volumes[${i}]`),
    ),
    readonlyRootfs: boolean(found.readonlyRootfs, 'launch.readonlyRootfs'),
    scratch: parseScratchPolicy(found.scratch, 'launch.scratch'),
    network: oneOf(found.network, 'launch.network', ['host']),
    hosts: text('hosts'),
    resolvConf: text('resolvConf'),
    cgroupsPath: cgroup(found.cgroupsPath),
    resources: parseResources(found.resources, 'launch.resources'),
    layers: array(found.layers, 'launch.layers', MAX_LAYERS).map((v, i) => {
      const layer = object(v, `launch.layers[${i}]`, ['file'])
      return { file: layerFile(layer.file, `launch.layers[${i}].file`) }
    }),
  }
}

function layerFile(value: unknown, name: string): string {
  const found = string(value, name, { max: 64 })
  if (layerPlace(found) === undefined) oneOf(found, name, ['a name of a sealed layer'])
  return found
}

function path(value: unknown, name: string): string {
  const found = string(value, name, { max: 4095, pattern: NO_NUL })
  if (!isCleanPath(found)) oneOf(found, name, ['an absolute path without dots'])
  return found
}

function signal(value: unknown): string {
  const found = string(value, 'launch.stopSignal', { max: 32 })
  if (signalNumber(found) === undefined) oneOf(found, 'launch.stopSignal', ['a signal'])
  return found
}

function cgroup(value: unknown): string {
  const found = string(value, 'launch.cgroupsPath', { max: 1024, pattern: CGROUP_PATH })
  if (!isCgroupPath(found)) oneOf(found, 'launch.cgroupsPath', ['a path without dots'])
  return found
}

/** True for a cgroup path that stays below the root of the hierarchy. */
export function isCgroupPath(path: string): boolean {
  return (
    CGROUP_PATH.test(path) &&
    path.length <= 1024 &&
    !path.split('/').some((part) => part === '..' || part === '.')
  )
}
