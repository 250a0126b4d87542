import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { cgroupDirectories } from '#platform/cgroup'

/** What a container of a test may have left on the machine; each list is empty if nothing is left. */
export interface Traces {
  /** Lines of any process's mountinfo that name the folder. */
  readonly mounts: readonly string[]
  /** Command lines of processes that name the folder. */
  readonly processes: readonly string[]
  readonly cgroups: readonly string[]
  readonly loops: readonly string[]
}

/** Looks for what names `folder` or lies in `cgroup`, in every mount namespace of the machine. */
export function findTraces(folder: string, cgroup: string): Traces {
  const mounts = new Set<string>()
  const processes = new Set<string>()
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    for (const line of read(`/proc/${pid}/mountinfo`).split('\n')) {
      if (line.includes(folder)) mounts.add(line)
    }
    const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ')
    if (command.includes(folder) && Number(pid) !== process.pid) processes.add(command)
  }
  const loops = readdirSync('/sys/block').filter((name) =>
    read(`/sys/block/${name}/loop/backing_file`).includes(folder),
  )
  return {
    mounts: [...mounts],
    processes: [...processes],
    cgroups: cgroupDirectories(cgroup),
    loops,
  }
}

/** Nothing left. */
export const NO_TRACES: Traces = { mounts: [], processes: [], cgroups: [], loops: [] }

/** Ids of the kernel's FUSE connections. They are listed in a mount namespace made for the question. */
export function fuseConnections(): string[] {
  const script = 'mount -t fusectl fusectl /sys/fs/fuse/connections && ls /sys/fs/fuse/connections'
  const out = execFileSync('unshare', ['-m', '--propagation', 'private', 'sh', '-c', script])
  return out.toString().split('\n').filter(Boolean).sort()
}

/** Polls until `done` is true; throws after `milliseconds`. For what the kernel ends in its own time. */
export async function eventually(done: () => boolean, milliseconds = 30_000): Promise<void> {
  const limit = performance.now() + milliseconds
  while (!done()) {
    if (performance.now() > limit) throw new Error('waited in vain')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

function read(file: string): string {
  try {
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  } catch {
    return ''
  }
}
