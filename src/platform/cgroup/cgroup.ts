import { existsSync, readdirSync, readFileSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'

const MOUNT = '/sys/fs/cgroup'

/**
 * Every directory of `path` in the hierarchies of this machine: one with cgroup v2, one a controller
 * with v1 or the hybrid of both.
 */
export function cgroupDirectories(path: string, mount: string = MOUNT): string[] {
  if (path.split('/').includes('..')) throw new RangeError('a cgroup path with ..')
  const roots = existsSync(join(mount, 'cgroup.controllers'))
    ? [mount]
    : readdirSync(mount).map((name) => join(mount, name))
  return roots.map((root) => join(root, path)).filter((directory) => existsSync(directory))
}

/** The processes in the cgroup, without those of cgroups below it. */
export function cgroupProcesses(path: string, mount: string = MOUNT): number[] {
  const pids = new Set<number>()
  for (const directory of cgroupDirectories(path, mount)) {
    for (const line of read(join(directory, 'cgroup.procs')).split('\n')) {
      // 0 stands for a process of another pid namespace: it cannot be named from here.
      if (/^[1-9]\d*$/.test(line)) pids.add(Number(line))
    }
  }
  return [...pids]
}

/**
 * Removes the cgroup where it is empty; true if nothing of it is left. For what outlives an init that
 * was killed: otherwise the OCI runtime does this.
 */
export function removeCgroup(path: string, mount: string = MOUNT): boolean {
  for (const directory of cgroupDirectories(path, mount)) {
    try {
      rmdirSync(directory)
    } catch {
      // EBUSY: somebody is in it still. The caller tries again when the process has ended.
    }
  }
  return cgroupDirectories(path, mount).length === 0
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
