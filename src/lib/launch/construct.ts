import type { ImageConfig } from '#lib/oci'
import type { HostRequest } from './host-request.ts'
import {
  CONTAINER_ID,
  encodeLaunchConfig,
  HOSTNAME,
  isCgroupPath,
  type LaunchConfig,
  MAX_LAUNCH_BYTES,
  MAX_LAYERS,
} from './launch-config.ts'
import { LaunchError } from './launch-error.ts'
import { renderHosts, renderResolvConf } from './network-files.ts'
import { isCleanPath, isNeverGrantableEnv, isNeverGrantableMount } from './never-grantable.ts'
import { DEFAULT_SCRATCH, type ScratchPolicy } from './scratch-policy.ts'
import { signalNumber } from './signals.ts'

/** What the owner's launch policy permitted of a host's request, one decision a member. */
export interface GrantedRequests {
  readonly args: boolean
  readonly entrypoint: boolean
  /** Names of variables, each permitted with the value that was asked for. */
  readonly env: readonly string[]
  readonly user: boolean
  readonly workdir: boolean
  /** An encrypted scratch on the node's disk, which a loop device shows to its root. */
  readonly diskScratch: boolean
  /** What the host may see of the container's output. */
  readonly stdio: 'plain' | 'drop'
}

/** No request granted: what holds where no rule permits anything. */
export const NOTHING_GRANTED: GrantedRequests = {
  args: false,
  entrypoint: false,
  env: [],
  user: false,
  workdir: false,
  diskScratch: false,
  stdio: 'plain',
}

/** The container that is being launched, as the agent knows it. */
export interface LaunchedContainer {
  readonly id: string
  /** Names of the sealed layers in the spool, base first. */
  readonly layers: readonly string[]
}

const DEFAULT_PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'
const MAX_VOLUMES = 64
const KERNEL_DIRECTORIES = ['/proc', '/sys', '/dev']

/**
 * Constructs what will run from the verified image configuration, and adds of the host's request only
 * what was granted: nothing is merged, so nothing can be forgotten (docs/launch.md). A request that
 * is not granted refuses the launch instead of being dropped, since a program that runs with other
 * arguments than somebody asked for is a surprise too. Throws LaunchError.
 */
export function constructLaunch(
  image: ImageConfig,
  request: HostRequest,
  granted: GrantedRequests,
  container: LaunchedContainer,
): LaunchConfig {
  if (!CONTAINER_ID.test(container.id)) throw invalid('container id', 'is malformed')
  const layers = container.layers.length
  if (layers === 0 || layers > MAX_LAYERS || layers !== image.rootfs.diffIds.length) {
    throw unsuitable(`it has ${image.rootfs.diffIds.length} layers; 1 to ${MAX_LAYERS} can be run`)
  }
  refuseUnsupported(request)
  const hostname = hostnameOf(request, container.id)
  const config: LaunchConfig = {
    version: 1,
    containerId: container.id,
    hostname,
    args: argsOf(image, request, granted),
    env: envOf(image, request, granted, hostname),
    cwd: cwdOf(image, request, granted),
    user: userOf(image, request, granted),
    stdio: granted.stdio,
    tty: false,
    stopSignal: stopSignalOf(image),
    volumes: volumesOf(image),
    readonlyRootfs: false,
    scratch: scratchOf(request, granted),
    network: 'host',
    hosts: renderHosts(request.hosts, hostname),
    resolvConf: renderResolvConf(request.resolvConf),
    cgroupsPath: cgroupOf(request, container.id),
    resources: request.resources,
    layers: container.layers.map((file) => ({ file })),
  }
  // Said here, before any key is asked for: init would refuse it only after the handover.
  if (encodeLaunchConfig(config).length > MAX_LAUNCH_BYTES) {
    throw unsuitable(
      `with what is asked for it needs over ${MAX_LAUNCH_BYTES} bytes to be described`,
    )
  }
  return config
}

function refuseUnsupported(request: HostRequest): void {
  const [mount] = request.mounts
  if (mount !== undefined) {
    throw new LaunchError(
      'LAUNCH_MOUNT_REFUSED',
      isNeverGrantableMount(mount.target)
        ? `mounting ${mount.source} of the host on ${mount.target}: no policy can permit that place`
        : `mounting ${mount.source} of the host on ${mount.target}: refused`,
    )
  }
  if (request.tty) throw new LaunchError('LAUNCH_TTY_REFUSED', 'giving a terminal: refused')
  if (request.stdin) {
    throw new LaunchError('LAUNCH_STDIN_REFUSED', 'giving the host the standard input: refused')
  }
}

function argsOf(
  image: ImageConfig,
  request: HostRequest,
  granted: GrantedRequests,
): readonly string[] {
  const { entrypoint, args } = request
  if (entrypoint !== undefined && !granted.entrypoint) {
    throw new LaunchError('LAUNCH_ENTRYPOINT_REFUSED', 'running with another entry point: refused')
  }
  if (args !== undefined && !granted.args) {
    throw new LaunchError('LAUNCH_ARGS_REFUSED', 'running with other arguments: refused')
  }
  // As everywhere else: another entry point leaves out the image's command as well.
  const command = args ?? (entrypoint === undefined ? image.config.Cmd : [])
  const line = [...(entrypoint ?? image.config.Entrypoint), ...command]
  if (line[0] === undefined || line[0] === '') {
    throw new LaunchError('LAUNCH_NO_COMMAND', 'starting the container: there is no program to run')
  }
  return line
}

function envOf(
  image: ImageConfig,
  request: HostRequest,
  granted: GrantedRequests,
  hostname: string,
): readonly string[] {
  const merged = new Map<string, string>()
  const add = (entry: string): void => {
    const name = entry.slice(0, entry.indexOf('='))
    merged.set(name, entry)
  }
  add(DEFAULT_PATH)
  add(`HOSTNAME=${hostname}`)
  for (const entry of image.config.Env) {
    if (entry.indexOf('=') < 1) throw unsuitable('a member of Env is not NAME=VALUE')
    add(entry)
  }
  for (const [name, value] of Object.entries(request.env)) {
    if (isNeverGrantableEnv(name)) {
      throw new LaunchError(
        'LAUNCH_ENV_REFUSED',
        `setting variable ${shown(name)}: no policy can permit that name to the host`,
        { next: 'set it in the image, which the owner signs' },
      )
    }
    if (!granted.env.includes(name)) {
      throw new LaunchError('LAUNCH_ENV_REFUSED', `setting variable ${shown(name)}: refused`)
    }
    add(`${name}=${value}`)
  }
  return [...merged.values()]
}

function cwdOf(image: ImageConfig, request: HostRequest, granted: GrantedRequests): string {
  if (request.workdir !== undefined) {
    if (!granted.workdir) {
      throw new LaunchError('LAUNCH_WORKDIR_REFUSED', 'running in another directory: refused')
    }
    if (!isCleanPath(request.workdir)) throw invalid('workdir', 'is not an absolute, clean path')
    return request.workdir
  }
  const parts = image.config.WorkingDir.split('/').filter((part) => part !== '' && part !== '.')
  const path = `/${parts.join('/')}`
  if (!isCleanPath(path)) throw unsuitable('its WorkingDir is not a clean path')
  return path
}

function userOf(image: ImageConfig, request: HostRequest, granted: GrantedRequests): string {
  if (request.user !== undefined && !granted.user) {
    throw new LaunchError('LAUNCH_USER_REFUSED', 'running as another user: refused')
  }
  const user = request.user ?? image.config.User
  if (user.length > 256) throw unsuitable('its User is longer than 256 characters')
  return user
}

function stopSignalOf(image: ImageConfig): string {
  const name = image.config.StopSignal === '' ? 'SIGTERM' : image.config.StopSignal
  if (signalNumber(name) === undefined) throw unsuitable('its StopSignal is not a signal')
  return name
}

function volumesOf(image: ImageConfig): readonly string[] {
  const { Volumes } = image.config
  if (Volumes.length > MAX_VOLUMES) throw unsuitable(`it has over ${MAX_VOLUMES} volumes`)
  const paths = Volumes.map((volume) => (volume.length > 1 ? volume.replace(/\/+$/, '') : volume))
  for (const path of paths) {
    const kernel = KERNEL_DIRECTORIES.some((d) => path === d || path.startsWith(`${d}/`))
    if (!isCleanPath(path) || path === '/' || kernel) {
      throw unsuitable('a volume lies on /, /proc, /sys or /dev, or is not a clean path')
    }
  }
  return [...new Set(paths)].sort()
}

function scratchOf({ scratch }: HostRequest, granted: GrantedRequests): ScratchPolicy {
  // Nobody asked: what the owner permits, and memory where that is not the disk.
  const kind = scratch?.kind ?? (granted.diskScratch ? 'disk' : 'tmpfs')
  if (kind === 'disk' && !granted.diskScratch) {
    throw new LaunchError('LAUNCH_SCRATCH_REFUSED', 'keeping the scratch on the disk: refused')
  }
  return { kind, size: scratch?.size ?? DEFAULT_SCRATCH[kind] }
}

function hostnameOf(request: HostRequest, id: string): string {
  if (request.hostname === undefined) {
    return id
      .slice(0, 12)
      .replace(/[^A-Za-z0-9-]/g, '-')
      .replace(/-+$/, '')
  }
  if (!HOSTNAME.test(request.hostname)) throw invalid('hostname', 'is malformed')
  return request.hostname
}

function cgroupOf(request: HostRequest, id: string): string {
  if (request.cgroupsPath === undefined) return `/enclave-cc-${id}`
  if (!isCgroupPath(request.cgroupsPath)) throw invalid('cgroupsPath', 'is malformed')
  return request.cgroupsPath
}

/** A name of the host's, fit for a message. */
function shown(name: string): string {
  return /^[\w.-]{1,64}$/.test(name) ? name : 'with a malformed name'
}

function invalid(field: string, found: string): LaunchError {
  return new LaunchError('LAUNCH_REQUEST_INVALID', `reading the request: ${field} ${found}`)
}

function unsuitable(found: string): LaunchError {
  return new LaunchError('LAUNCH_IMAGE_UNSUITABLE', `launching the image: ${found}`)
}
