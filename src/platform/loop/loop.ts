import { closeSync, constants, openSync } from 'node:fs'
import { constants as os } from 'node:os'
import { check, lastError, libc } from '#platform/ffi'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'

const LOOP_CTL_GET_FREE = 0x4c82n
const LOOP_CONFIGURE = 0x4c0an
const FLAGS_READ_ONLY = 1
const FLAGS_AUTOCLEAR = 4
const FLAGS_DIRECT_IO = 16
// struct loop_config: fd u32, block_size u32, loop_info64 232 bytes (lo_flags at 52), 8 reserved u64.
const CONFIG_LENGTH = 304
const FLAGS_OFFSET = 60
const BLOCK_SIZE = 4096
const ATTEMPTS = 16

/**
 * Mounts the EROFS image `file` read-only on `target` through a loop device, for kernels that do not
 * mount EROFS from a file (before 6.12). The device frees itself with its last user, even after a
 * crash. Direct I/O is tried first, since each page would be cached twice without it.
 */
export function loopMount(file: string, target: string): void {
  const device = attachLoop(file, 'read')
  try {
    linuxMounts.mount({
      source: device.path,
      target,
      type: 'erofs',
      flags: MOUNT_FLAGS.rdonly | MOUNT_FLAGS.nodev | MOUNT_FLAGS.nosuid,
    })
  } finally {
    // Autoclear: from here on the mount is the device's only user, or it is freed at once.
    closeSync(device.fd)
  }
}

/** A loop device. It is freed when its descriptors are closed and nobody has it mounted. */
export interface LoopDevice {
  /** `/dev/loopN`: a node of the whole machine, not of this mount namespace. */
  readonly path: string
  /** Open descriptor of the device, which holds it. */
  readonly fd: number
}

/**
 * Puts a loop device of 4096-byte blocks on `file`. The device frees itself with its last user, even after
 * a crash: mount it, then close the descriptor. Throws SystemError, or what opening the file throws.
 */
export function attachLoop(file: string, access: 'read' | 'write'): LoopDevice {
  const image = openSync(file, access === 'read' ? 'r' : 'r+')
  try {
    return attach(image, access)
  } finally {
    closeSync(image)
  }
}

function attach(image: number, access: 'read' | 'write'): LoopDevice {
  const readOnly = access === 'read' ? FLAGS_READ_ONLY : 0
  const control = openSync('/dev/loop-control', constants.O_RDWR)
  try {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      // Safe: the call takes no argument and returns a number.
      const number = libc.ioctl(control, LOOP_CTL_GET_FREE, null)
      check(number, 'ioctl', 'a free loop device')
      const path = `/dev/loop${number}`
      const fd = openSync(path, access === 'read' ? constants.O_RDONLY : constants.O_RDWR)
      const direct = readOnly | FLAGS_DIRECT_IO
      if (configure(fd, image, direct) || configure(fd, image, readOnly)) return { fd, path }
      // EBUSY: somebody else took the number between the two calls.
      const failure = lastError('ioctl', `an image on ${path}`)
      closeSync(fd)
      if (failure.errno !== os.errno.EBUSY) throw failure
    }
  } finally {
    closeSync(control)
  }
  throw new Error(`attaching an image: every one of ${ATTEMPTS} free loop devices was taken first`)
}

function configure(fd: number, image: number, flags: number): boolean {
  const config = new Uint8Array(CONFIG_LENGTH)
  const view = new DataView(config.buffer)
  view.setUint32(0, image, true)
  view.setUint32(4, BLOCK_SIZE, true)
  view.setUint32(FLAGS_OFFSET, FLAGS_AUTOCLEAR | flags, true)
  // Safe: the kernel reads 304 bytes, which the array has.
  return libc.ioctl(fd, LOOP_CONFIGURE, config) === 0
}
