import { CodedError } from '#lib/errors'
import { loopMount } from '#platform/loop'
import { MOUNT_FLAGS, type Mounts } from '#platform/mount'

/** Codes of `mountErofs`: what this machine lacks. */
export type ErofsMountCode = 'EROFS_MISSING' | 'LOOP_MISSING'

/** What a mount says where the kernel has no such filesystem, or where this process may not mount it. */
const NO_FILESYSTEM: Readonly<Record<string, string>> = {
  ENODEV: 'the kernel has no such filesystem',
  EPERM: 'mounting it is not permitted here',
  EACCES: 'mounting it is not permitted here',
}
const NO_LOOP: Readonly<Record<string, string>> = {
  ENOENT: 'there is no device',
  ENODEV: 'the kernel has no loop devices',
  ENXIO: 'the kernel has no loop devices',
  EPERM: 'using one is not permitted here',
  EACCES: 'using one is not permitted here',
  ENOTTY: 'what stands there is no loop device',
  EINVAL: 'what stands there is no loop device',
}

/**
 * Mounts the EROFS image in `file` read-only, without devices: from the file itself, or where the kernel wants a
 * block device (before Linux 6.12, and for files on tmpfs or overlayfs) through a loop device. Returns which
 * it was. Throws CodedError `EROFS_MISSING` or `LOOP_MISSING` with what was found, and SystemError for
 * anything that is wrong with the image.
 */
export function mountErofs(
  mounts: Mounts,
  file: string,
  target: string,
  flags = 0,
): 'file' | 'loop' {
  try {
    const always = MOUNT_FLAGS.rdonly | MOUNT_FLAGS.nodev
    mounts.mount({ source: file, target, type: 'erofs', flags: always | flags })
    return 'file'
  } catch (error) {
    if (codeOf(error) !== 'ENOTBLK') throw missing(error)
  }
  try {
    loopMount(file, target)
    return 'loop'
  } catch (error) {
    throw missingLoop(error)
  }
}

function missing(error: unknown): unknown {
  const found = NO_FILESYSTEM[codeOf(error)]
  if (found === undefined) return error
  const message = `mounting an EROFS image: ${found} (${codeOf(error)})`
  return new CodedError<ErofsMountCode>('EROFS_MISSING', message, { cause: error })
}

function missingLoop(error: unknown): unknown {
  const { path, syscall } = error as NodeJS.ErrnoException
  const found = NO_LOOP[codeOf(error)]
  const isDevice = syscall === 'ioctl' || path?.startsWith('/dev/loop') === true
  if (found === undefined || !isDevice) return missing(error)
  const at = path === undefined ? '' : `${path}: `
  const message = `mounting an EROFS image through a loop device: ${at}${found} (${codeOf(error)})`
  return new CodedError<ErofsMountCode>('LOOP_MISSING', message, { cause: error })
}

function codeOf(error: unknown): string {
  return (error as { code?: string }).code ?? ''
}
