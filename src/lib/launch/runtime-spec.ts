import type { LaunchConfig } from './launch-config.ts'
import type { Resources } from './resources.ts'
import { DEFAULT_SCRATCH } from './scratch-policy.ts'
import { seccompProfile } from './seccomp.ts'

/** The user of the container's process, resolved inside its root filesystem. */
export interface ResolvedUser {
  readonly uid: number
  readonly gid: number
  readonly additionalGids: readonly number[]
}

/** Where init put what the specification refers to. */
export interface RuntimePaths {
  /** The mounted root filesystem. */
  readonly rootfs: string
  /** Files with the content of `hosts`, `resolvConf` and the host name. */
  readonly hosts: string
  readonly resolvConf: string
  readonly hostname: string
  /** By path inside; what is not named gets a tmpfs with a copy of what the image has there. */
  readonly volumes?: ReadonlyMap<string, VolumePlace>
}

/** Where a volume is: a directory of the root filesystem, which is private and writable anyway, or another. */
export type VolumePlace =
  | { readonly kind: 'rootfs' }
  | { readonly kind: 'directory'; readonly path: string }

/** What the specification takes from the machine that it runs on. */
export interface RuntimeMachine {
  readonly architecture: 'x64' | 'arm64'
  /** How readily the kernel kills the container where memory is short, -1000 to 1000. */
  readonly oomScoreAdj: number
  /** Whether the kernel knows the option of tmpfs that keeps its pages out of swap. */
  readonly noswap: boolean
}

const PLAIN_MACHINE: RuntimeMachine = { architecture: 'x64', oomScoreAdj: 0, noswap: false }

/** What containerd and Docker give by default, and no more. */
const CAPABILITIES = [
  'CAP_AUDIT_WRITE',
  'CAP_CHOWN',
  'CAP_DAC_OVERRIDE',
  'CAP_FOWNER',
  'CAP_FSETID',
  'CAP_KILL',
  'CAP_MKNOD',
  'CAP_NET_BIND_SERVICE',
  'CAP_NET_RAW',
  'CAP_SETFCAP',
  'CAP_SETGID',
  'CAP_SETPCAP',
  'CAP_SETUID',
  'CAP_SYS_CHROOT',
]

const MASKED_PATHS = [
  '/proc/acpi',
  '/proc/asound',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/sys/devices/virtual/powercap',
  '/sys/firmware',
  '/sys/fs/fuse',
]

const READONLY_PATHS = [
  '/proc/bus',
  '/proc/fs',
  '/proc/irq',
  '/proc/sys',
  '/proc/sysrq-trigger',
  // With cgroup v1 runc puts the controllers on a tmpfs of no size that stays writable, whatever the
  // options of the mount say: memory past every bound of the scratch.
  '/sys/fs/cgroup',
]

const MOST_MEMORY = { disk: DEFAULT_SCRATCH.tmpfs, tmpfs: Number.POSITIVE_INFINITY } as const

const HARD = ['nosuid', 'noexec', 'nodev']

/**
 * The OCI runtime specification (1.0.2) of a launch, for runc 1.1: constructed whole, from the launch
 * configuration alone. No hooks, no devices beyond the runtime's own, no sysctls, no annotations.
 */
export function runtimeSpec(
  config: LaunchConfig,
  user: ResolvedUser,
  paths: RuntimePaths,
  machine: RuntimeMachine = PLAIN_MACHINE,
): object {
  const memory = machine.noswap ? ['noswap'] : []
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false,
      user: { uid: user.uid, gid: user.gid, additionalGids: user.additionalGids },
      args: config.args,
      env: config.env,
      cwd: config.cwd,
      capabilities: {
        bounding: CAPABILITIES,
        effective: CAPABILITIES,
        permitted: CAPABILITIES,
      },
      rlimits: [
        // A core file would be plaintext memory on a disk of the host. One byte and not none: the
        // kernel ignores 0 where cores go to a program, and takes 1 for `none` in both cases.
        { type: 'RLIMIT_CORE', hard: 1, soft: 1 },
      ],
      noNewPrivileges: true,
      // Said in any case: otherwise it is inherited from init, which the kernel spares.
      oomScoreAdj: machine.oomScoreAdj,
    },
    root: { path: paths.rootfs, readonly: config.readonlyRootfs },
    hostname: config.hostname,
    mounts: [
      mount('/proc', 'proc', 'proc', HARD),
      mount('/dev', 'tmpfs', 'tmpfs', [
        'nosuid',
        'strictatime',
        'mode=755',
        'size=65536k',
        ...memory,
      ]),
      mount('/dev/pts', 'devpts', 'devpts', [
        'nosuid',
        'noexec',
        'newinstance',
        'ptmxmode=0666',
        'mode=0620',
        'gid=5',
      ]),
      mount('/dev/shm', 'tmpfs', 'shm', [...HARD, 'mode=1777', 'size=65536k', ...memory]),
      mount('/dev/mqueue', 'mqueue', 'mqueue', HARD),
      mount('/sys', 'sysfs', 'sysfs', [...HARD, 'ro']),
      mount('/sys/fs/cgroup', 'cgroup', 'cgroup', [...HARD, 'relatime', 'ro']),
      ...config.volumes.flatMap((path) => volume(config, path, paths.volumes?.get(path), memory)),
      file('/etc/hosts', paths.hosts),
      file('/etc/resolv.conf', paths.resolvConf),
      file('/etc/hostname', paths.hostname),
    ],
    linux: {
      cgroupsPath: config.cgroupsPath,
      resources: { devices: [{ allow: false, access: 'rwm' }], ...limits(config.resources) },
      // No network namespace: `network` is `host` in this version.
      namespaces: [
        { type: 'pid' },
        { type: 'ipc' },
        { type: 'uts' },
        { type: 'mount' },
        { type: 'cgroup' },
      ],
      rootfsPropagation: 'private',
      maskedPaths: MASKED_PATHS,
      readonlyPaths: READONLY_PATHS,
      seccomp: seccompProfile(machine.architecture),
    },
  }
}

function volume(
  config: LaunchConfig,
  path: string,
  place: VolumePlace | undefined,
  memory: readonly string[],
): object[] {
  // A read-only root filesystem has no writable directories of its own.
  if (place?.kind === 'rootfs' && !config.readonlyRootfs) return []
  if (place?.kind === 'directory') {
    return [mount(path, 'bind', place.path, ['bind', 'nosuid', 'nodev'])]
  }
  // Memory is not to be had by the size of a disk.
  const size = Math.min(config.scratch.size, MOST_MEMORY[config.scratch.kind])
  const options = ['nosuid', 'nodev', 'mode=755', `size=${size}`, 'tmpcopyup', ...memory]
  return [mount(path, 'tmpfs', 'tmpfs', options)]
}

function mount(
  destination: string,
  type: string,
  source: string,
  options: readonly string[],
): object {
  return { destination, type, source, options }
}

function file(destination: string, source: string): object {
  return mount(destination, 'bind', source, ['bind', 'ro', 'nosuid', 'nodev', 'noexec'])
}

function limits(found: Resources): object {
  const memory = {
    ...(found.memory === undefined ? {} : { limit: found.memory }),
    ...(found.memorySwap === undefined ? {} : { swap: found.memorySwap }),
  }
  const cpu = {
    ...(found.cpuShares === undefined ? {} : { shares: found.cpuShares }),
    ...(found.cpuQuota === undefined ? {} : { quota: found.cpuQuota }),
    ...(found.cpuPeriod === undefined ? {} : { period: found.cpuPeriod }),
    ...(found.cpusetCpus === undefined ? {} : { cpus: found.cpusetCpus }),
    ...(found.cpusetMems === undefined ? {} : { mems: found.cpusetMems }),
  }
  return {
    ...(Object.keys(memory).length === 0 ? {} : { memory }),
    ...(Object.keys(cpu).length === 0 ? {} : { cpu }),
    ...(found.pids === undefined ? {} : { pids: { limit: found.pids } }),
  }
}
