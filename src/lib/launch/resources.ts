import { integer, object, optional, string } from '#lib/json'

/** Limits that the host may set on the container. They only take away. Absent: no limit. */
export interface Resources {
  /** Bytes. */
  readonly memory?: number
  /** Memory and swap together, in bytes. */
  readonly memorySwap?: number
  /** Relative weight, 2 to 262144. */
  readonly cpuShares?: number
  /** Microseconds of CPU time a period. */
  readonly cpuQuota?: number
  /** Length of the period in microseconds. */
  readonly cpuPeriod?: number
  /** `0-3,7` */
  readonly cpusetCpus?: string
  readonly cpusetMems?: string
  /** Processes and threads. */
  readonly pids?: number
}

const MEMBERS = [
  'memory',
  'memorySwap',
  'cpuShares',
  'cpuQuota',
  'cpuPeriod',
  'cpusetCpus',
  'cpusetMems',
  'pids',
]
const RANGES = {
  memory: [6 * 1024 * 1024, Number.MAX_SAFE_INTEGER],
  memorySwap: [6 * 1024 * 1024, Number.MAX_SAFE_INTEGER],
  cpuShares: [2, 262_144],
  cpuQuota: [1000, 1_000_000_000],
  cpuPeriod: [1000, 1_000_000],
  pids: [1, 4_194_304],
} as const
const CPU_SET = /^\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*$/

/** Reads limits; unknown members are refused. Throws FormatError. */
export function parseResources(value: unknown, name: string): Resources {
  const found = object(value, name, MEMBERS)
  const limits: Record<string, number | string> = {}
  for (const [member, [min, max]] of Object.entries(RANGES)) {
    const limit = optional(found[member], (v) => integer(v, `${name}.${member}`, min, max))
    if (limit !== undefined) limits[member] = limit
  }
  for (const member of ['cpusetCpus', 'cpusetMems']) {
    const set = optional(found[member], (v) =>
      string(v, `${name}.${member}`, { max: 1024, pattern: CPU_SET }),
    )
    if (set !== undefined) limits[member] = set
  }
  return limits
}
