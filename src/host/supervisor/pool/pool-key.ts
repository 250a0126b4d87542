import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs'
import { getPriority } from 'node:os'
import { join } from 'node:path'
import { fromBase64 } from '#lib/bytes'
import { DEVICE_FILE } from '../../launcher/sim/device-file.ts'
import type { JobBase, SpareJob } from '../job.ts'

/** What a pod is opened with before anything of its container is known. */
export interface PodInputs {
  /** Node data. */
  readonly root: string
  /** Bundle directory. */
  readonly bundle: string
  /** Exact bytes. */
  readonly initData: Uint8Array
  /** Whether the layers that the node keeps are among its mounts. */
  readonly keepsLayers: boolean
  /** Bytes of the encrypted scratch that init makes ahead; undefined: none. */
  readonly scratch?: number | undefined
  /** File of the supervisor program. */
  readonly program: string
  /** Name of the mount namespace that commands run in, as `/proc/PID/ns/mnt` has it. */
  readonly mounts: string
}

// Ten bytes: enough to tell kinds of pods apart, short enough for the path of a socket.
const DIGITS = 20
const NAMESPACES = ['cgroup', 'ipc', 'net', 'pid', 'user', 'uts']
const RIGHTS = /^(?:[UG]id|Groups|Cap\w+|NoNewPrivs|Seccomp|(?:Cpus|Mems)_allowed_list):.*$/gm

/**
 * Name of all pods that are alike: same bundle, init-data, platform, name resolution and program, and
 * started with the same rights and limits in the same namespaces and cgroup. A container that takes a
 * spare of its key is where and what it would be if it had been started by its own command. Undefined
 * where something cannot be read: then nothing is like it.
 */
export function poolKey(inputs: PodInputs): string | undefined {
  const hash = createHash('sha256')
  const add = (part: string | Uint8Array): void => {
    hash.update(`${part.length}\n`).update(part)
  }
  try {
    add(inputs.root)
    add(inputs.initData)
    for (const name of ['agent.json', 'init.json']) add(readFileSync(join(inputs.bundle, name)))
    for (const file of [inputs.program, join(inputs.root, 'platform', DEVICE_FILE)]) {
      const { dev, ino, size, mtimeNs } = statSync(file, { bigint: true })
      add([dev, ino, size, mtimeNs].join())
    }
    // each change of what it rehearses is another issue (sim/issue-store.ts)
    add(issues(join(inputs.root, 'platform')))
    for (const file of ['/etc/resolv.conf', '/etc/hosts']) add(contentOf(file))
    add(inputs.mounts)
    add(inputs.keepsLayers ? 'layers' : '')
    add(String(inputs.scratch ?? ''))
    for (const name of NAMESPACES) add(readlinkSync(`/proc/self/ns/${name}`))
    for (const name of ['cgroup', 'limits', 'oom_score_adj'])
      add(readFileSync(`/proc/self/${name}`))
    add((readFileSync('/proc/self/status', 'latin1').match(RIGHTS) ?? []).join('\n'))
    add(String(getPriority()))
    return hash.digest('hex').slice(0, DIGITS)
  } catch {
    return undefined
  }
}

/**
 * True while a command of now would ask for just such a pod as `job` has: nothing that goes into its key
 * has changed, and the init-data are still those of their file.
 */
export function isWanted(
  job: JobBase & Pick<SpareJob, 'scratch'>,
  key: string,
  mounts: string,
): boolean {
  const [, program = ''] = process.argv
  const { root, bundle, scratch } = job
  const keepsLayers = job.cacheMaxSize > 0
  const initData = fromBase64(job.initData, 'init-data')
  try {
    if (!readFileSync(job.initDataFile).equals(initData)) return false
  } catch {
    return false
  }
  return poolKey({ root, bundle, initData, keepsLayers, scratch, program, mounts }) === key
}

function issues(platform: string): string {
  return readdirSync(platform)
    .filter((name) => !name.startsWith('.'))
    .sort()
    .join('\n')
}

function contentOf(file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch {
    return new Uint8Array(0)
  }
}
