import { spawn } from 'node:child_process'
import type { ScratchPolicy } from '#lib/launch'
import { CHUNK_STATE } from '#lib/scratch'
import { abandonFilesystem } from '#platform/filesystem'
import { attachLoop } from '#platform/loop'
import { MOUNT_FLAGS } from '#platform/mount'
import type { Ground } from './ground.ts'
import { InitError } from './init-error.ts'
import { type Keeper, startKeeper } from './keeper.ts'
import { mountMemory } from './memory-mount.ts'
import { keepTrimmed } from './scratch-trim.ts'

/** The writable layer of a container, mounted. */
export interface Scratch {
  readonly policy: ScratchPolicy
  /** Where it is mounted. */
  readonly path: string
  /** Says that nobody needs its content any more: what is not written yet never will be. */
  abandon(): void
  /** Takes it down when nothing stands on it any more. */
  unmount(): Promise<void>
}

const { nosuid, nodev, noatime } = MOUNT_FLAGS
const TMPFS_NEXT = 'run with --scratch tmpfs, which needs neither a loop device nor a disk'

/** A scratch of memory: a tmpfs. Throws SystemError. */
export function mountMemoryScratch(ground: Ground, policy: ScratchPolicy): Scratch {
  const path = ground.at('s')
  mountMemory(ground.mounts, {
    source: 'scratch',
    target: path,
    flags: nosuid | nodev | noatime,
    data: `mode=700,size=${policy.size}`,
  })
  return { policy, path, abandon: () => {}, unmount: async () => ground.unmount(path) }
}

/** What `mountDiskScratch` needs beside the ground. */
export interface DiskScratchOptions {
  /** Path of the measured mke2fs. */
  readonly mke2fs: string
  /** Path of the measured cat, which waits for our end (keeper.ts). */
  readonly cat: string
  /** Calls it off. */
  readonly signal?: AbortSignal
}

/**
 * The encrypted scratch of the ground as a filesystem: loop device, mke2fs, mount. The loop device frees
 * itself when it is unmounted. Throws InitError `SCRATCH_UNAVAILABLE`; it is not mounted then.
 */
export async function mountDiskScratch(
  ground: Ground,
  options: DiskScratchOptions,
): Promise<Scratch> {
  const { scratchFile: file, scratchShare: share } = ground
  if (file === undefined || share === undefined) throw new TypeError('the ground has no scratch')
  const path = ground.at('s')
  const device = attach(file)
  let keeper: Keeper | undefined
  try {
    // From here on the device is held by the keeper alone: our own last close could wait for ourselves.
    keeper = startKeeper(options.cat, device.fd)
    await makeFilesystem(device.path, options)
    ground.mounts.mount({
      source: device.path,
      target: path,
      type: 'ext4',
      flags: nosuid | nodev | noatime,
      // No barriers and no zeroing of inode tables: see docs/formats/scratch.md.
      data: 'nobarrier,noinit_itable,errors=remount-ro',
    })
  } catch (cause) {
    await keeper?.end()
    const broken = share.table.states.includes(CHUNK_STATE.lost)
    const why = broken ? 'the disk of the node is full or fails' : (cause as Error).message
    throw unavailable(`making its filesystem failed: ${why}`, cause)
  }
  const stopTrimming = keepTrimmed(path, share)
  return {
    policy: { kind: 'disk', size: share.size },
    path,
    abandon() {
      try {
        abandonFilesystem(path)
      } catch {
        // It is written then, in vain.
      }
    },
    async unmount() {
      stopTrimming()
      ground.unmount(path)
      await keeper.end()
    },
  }
}

function attach(file: string): ReturnType<typeof attachLoop> {
  try {
    return attachLoop(file, 'write')
  } catch (cause) {
    const code = (cause as { code?: string }).code ?? 'every free one was taken'
    throw unavailable(`no loop device can be had (${code})`, cause)
  }
}

async function makeFilesystem(device: string, options: DiskScratchOptions): Promise<void> {
  const { mke2fs, signal } = options
  const child = spawn(
    mke2fs,
    ['-t', 'ext4', '-q', '-F', '-O', '^has_journal', '-E', EXTENDED, '-m', '0', device],
    {
      stdio: 'ignore',
      // Its built-in profile, and not a file of the machine.
      env: { MKE2FS_CONFIG: '/nonexistent' },
      cwd: '/',
      killSignal: 'SIGKILL',
      ...(signal === undefined ? {} : { signal }),
    },
  )
  const status = await new Promise<string>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      // Interrupted, it has yet to end; never started, there is nothing to wait for.
      if (child.pid === undefined) resolve(`it cannot be started (${error.code})`)
    })
    child.once('exit', (code, name) => resolve(code === 0 ? '' : `it ended with ${code ?? name}`))
  })
  if (status !== '') throw new Error(`mke2fs: ${status}`)
}

const EXTENDED = 'lazy_itable_init=1,nodiscard'

function unavailable(found: string, cause: unknown): InitError {
  return new InitError('SCRATCH_UNAVAILABLE', `preparing the scratch: ${found}`, {
    cause,
    next: TMPFS_NEXT,
  })
}
