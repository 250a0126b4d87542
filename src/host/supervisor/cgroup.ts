import { cgroupProcesses, removeCgroup } from '#platform/cgroup'

/** Parent of all container cgroups of this node, in every hierarchy. */
export const CGROUP_PARENT = '/enclave-cc'

const TRIES = 100
const PAUSE_MS = 20

/**
 * Kills whatever is left in a container's cgroup and removes it. Needed where init was killed and could
 * not do it; harmless where it did. Resolves when it is gone, or after two seconds.
 */
export async function clearCgroup(path: string): Promise<void> {
  for (let i = 0; i < TRIES && !removeCgroup(path); i++) {
    for (const pid of cgroupProcesses(path)) {
      try {
        process.kill(pid, 'SIGKILL')
      } catch {
        // ended by itself
      }
    }
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
  }
  removeCgroup(CGROUP_PARENT)
}
