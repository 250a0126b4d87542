import { lstatSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import type { VolumePlace } from '#lib/launch'
import type { Scratch } from './scratch.ts'

/**
 * Where the volumes of a container are. On a scratch of memory each is a tmpfs of its own. On one on disk
 * they are in the scratch: a directory that the image has is so already, with all that is in it, and
 * any other gets an empty one. Only where the path leads through a link or a file it is a tmpfs too: what
 * that leads to is the runtime's to find. Nothing runs in `rootfs` yet, so nothing changes meanwhile.
 */
export function placeVolumes(
  rootfs: string,
  volumes: readonly string[],
  scratch: Scratch,
): ReadonlyMap<string, VolumePlace> {
  const places = new Map<string, VolumePlace>()
  if (scratch.policy.kind === 'tmpfs') return places
  volumes.forEach((volume, i) => {
    const found = look(rootfs, volume)
    if (found === 'directory') places.set(volume, { kind: 'rootfs' })
    if (found !== 'nothing') return
    const path = join(scratch.path, 'v', String(i))
    // As the image's would be: its root, and everybody may look in.
    mkdirSync(path, { recursive: true, mode: 0o755 })
    places.set(volume, { kind: 'directory', path })
  })
  return places
}

function look(rootfs: string, volume: string): 'directory' | 'nothing' | 'other' {
  let at = rootfs
  for (const part of volume.split('/').filter((word) => word !== '')) {
    at = join(at, part)
    const stat = lstatSync(at, { throwIfNoEntry: false })
    if (stat === undefined) return 'nothing'
    if (!stat.isDirectory()) return 'other'
  }
  return 'directory'
}
