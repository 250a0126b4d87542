import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'

const { bind, rec, nosuid, nodev, noexec } = MOUNT_FLAGS

/**
 * Mounts what the enclaves of one pod see beside the bundle image: kernel interfaces, a private tmpfs,
 * the pod's spool of ciphertext, the sealed layers that the node keeps for all pods (where it keeps any),
 * and name resolution of the host. Call it in a private mount
 * namespace: the mounts end with it. Throws SystemError.
 */
export function mountPod(root: string, spool: string, layers: string | undefined): void {
  const at = (path: string): string => join(root, path)
  const bound = (source: string, path: string, flags: number = bind): void =>
    linuxMounts.mount({ source, target: at(path), type: 'none', flags })
  const fresh = (type: string, path: string, data: string): void =>
    linuxMounts.mount({
      source: type,
      target: at(path),
      type,
      flags: nosuid | nodev | noexec,
      data,
    })
  // The image itself becomes a mount of this namespace, so that it can be the root of a process.
  bound(root, '/')
  linuxMounts.mount({ source: 'proc', target: at('/proc'), type: 'proc', flags: nosuid | noexec })
  bound('/sys', '/sys', bind | rec)
  bound('/dev', '/dev', bind | rec)
  fresh('tmpfs', '/tmp', 'mode=0700,size=16m')
  linuxMounts.mount({
    source: 'tmpfs',
    target: at('/run'),
    type: 'tmpfs',
    flags: nosuid | nodev,
    data: 'mode=0700',
  })
  bound(spool, '/spool')
  if (layers !== undefined) bound(layers, '/layers')
  for (const file of ['/etc/resolv.conf', '/etc/hosts']) {
    if (existsSync(file)) bound(file, file)
  }
}
