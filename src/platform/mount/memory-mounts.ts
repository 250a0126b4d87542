import { constants } from 'node:os'
import { SystemError } from '#platform/ffi'
import type { MountRequest, Mounts } from './mounts.ts'

/** A `Mounts` that keeps a list, for tests: same order rules as the kernel, no effect. */
export interface MemoryMounts extends Mounts {
  /** What is mounted, oldest first. */
  readonly table: readonly MountRequest[]
  /** The next mount on `target` fails with this errno name. */
  failNext(target: string, code: keyof typeof constants.errno): void
}

/** An empty table. Unmounting what is not mounted is EINVAL, as in the kernel. */
export function createMemoryMounts(): MemoryMounts {
  const table: MountRequest[] = []
  const failures = new Map<string, number>()
  return {
    table,
    failNext(target, code) {
      failures.set(target, constants.errno[code])
    },
    mount(request) {
      const failure = failures.get(request.target)
      if (failure !== undefined) {
        failures.delete(request.target)
        throw new SystemError('mount', `${request.type} on ${request.target}`, failure)
      }
      table.push(request)
    },
    unmount(target) {
      const at = table.findLastIndex((entry) => entry.target === target)
      if (at < 0) throw new SystemError('umount', target, constants.errno.EINVAL)
      table.splice(at, 1)
    },
  }
}
