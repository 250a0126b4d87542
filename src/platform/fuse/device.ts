import { closeSync, constants, openSync } from 'node:fs'
import { check, libc } from '#platform/ffi'
import type { Mounts } from '#platform/mount'
import { MOUNT_FLAGS } from '#platform/mount'

const FUSE_DEV_IOC_CLONE = 0x8004e500n

/**
 * Opens `/dev/fuse` and mounts it on `directory`. The descriptor is close-on-exec: a child that held
 * it would keep the connection alive after the server's death. Serve it before anybody looks inside.
 * Modes and the server decide what can be written.
 */
export function mountFuse(mounts: Mounts, directory: string, maxRead: number): number {
  const fd = openDevice()
  try {
    mounts.mount({
      source: 'sealed',
      target: directory,
      type: 'fuse.sealed',
      flags: MOUNT_FLAGS.nosuid | MOUNT_FLAGS.nodev | MOUNT_FLAGS.noexec,
      data: `fd=${fd},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions,max_read=${maxRead}`,
    })
  } catch (error) {
    closeSync(fd)
    throw error
  }
  return fd
}

/**
 * A further descriptor of the connection of `fd`, with a queue of requests in progress of its own. A
 * reply must go to the descriptor that its request came from.
 */
export function cloneFuse(fd: number): number {
  const clone = openDevice()
  // Safe: the kernel reads one u32 from the argument, which holds the first descriptor.
  const argument = new Uint8Array(Uint32Array.of(fd).buffer)
  try {
    check(libc.ioctl(clone, FUSE_DEV_IOC_CLONE, argument), 'ioctl', 'clone of a FUSE descriptor')
  } catch (error) {
    closeSync(clone)
    throw error
  }
  return clone
}

function openDevice(): number {
  return openSync('/dev/fuse', constants.O_RDWR)
}
