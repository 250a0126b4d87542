import { closeSync, mkdirSync, mkdtempSync, rmdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createErofsWriter } from '#lib/erofs'
import { mountFuse } from '#platform/fuse'
import { loopMount } from '#platform/loop'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import type { Finding, Probe } from '../probe.ts'

/**
 * Probes of the filesystems, by mounting them: a name in /proc/filesystems says neither that a module
 * can be loaded nor that mounting is allowed. They run in a private mount namespace that this process
 * enters for good, so use them in a program that ends after them; nothing of it is seen outside.
 */
export function filesystemProbes(): readonly Probe[] {
  const stage = new Stage()
  return [
    {
      name: 'namespaces',
      required: true,
      needed: 'mount namespaces',
      next: 'allow unshare(2) here: not inside an unprivileged container',
      look: () => stage.enter(),
    },
    {
      name: 'fuse',
      required: true,
      needed: '/dev/fuse, and mounts of type fuse',
      next: 'modprobe fuse, and give this environment /dev/fuse',
      look: () => stage.fuse(),
    },
    {
      name: 'erofs',
      required: true,
      needed: 'EROFS, from a file (Linux 6.12) or through a loop device',
      next: 'modprobe erofs loop; Debian and Ubuntu have both in the usual kernel packages',
      look: () => stage.erofs(),
    },
    {
      name: 'overlayfs',
      required: true,
      needed: 'overlay with an upper directory on tmpfs',
      next: 'modprobe overlay',
      look: () => stage.overlay(),
    },
  ]
}

/** A tmpfs to try things on; it and all that is on it vanish with the last process of the namespace. */
class Stage {
  #folder: string | undefined

  enter(): Finding {
    enterPrivateMounts()
    const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-doctor-'))
    linuxMounts.mount({
      source: 'doctor',
      target: folder,
      type: 'tmpfs',
      flags: MOUNT_FLAGS.nosuid,
    })
    this.#folder = folder
    process.once('exit', () => {
      linuxMounts.unmount(folder, { detach: true })
      rmdirSync(folder)
    })
    return { ok: true, found: 'works' }
  }

  fuse(): Finding {
    const directory = this.#make('fuse')
    closeSync(mountFuse(linuxMounts, directory, 4096))
    linuxMounts.unmount(directory, { detach: true })
    return { ok: true, found: 'works' }
  }

  async erofs(): Promise<Finding> {
    const target = this.#make('erofs')
    // Not on the tmpfs: EROFS does not take a file of one, and would seem to need a loop device.
    const folder = mkdtempSync('/var/tmp/enclave-cc-doctor-')
    const image = join(folder, 'image.erofs')
    try {
      writeFileSync(image, await smallImage())
      return this.#mountErofs(image, target)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  #mountErofs(image: string, target: string): Finding {
    try {
      const flags = MOUNT_FLAGS.rdonly
      linuxMounts.mount({ source: image, target, type: 'erofs', flags })
    } catch (error) {
      if ((error as { code?: string }).code !== 'ENOTBLK') throw error
      loopMount(image, target)
      linuxMounts.unmount(target)
      return { ok: true, found: 'through a loop device' }
    }
    linuxMounts.unmount(target)
    return { ok: true, found: 'from a file' }
  }

  overlay(): Finding {
    const [lower, upper, work, target] = ['lower', 'upper', 'work', 'merged'].map((name) =>
      this.#make(name),
    )
    linuxMounts.mount({
      source: 'overlay',
      target: target ?? '',
      type: 'overlay',
      flags: 0,
      data: `lowerdir=${lower},upperdir=${upper},workdir=${work},index=off,metacopy=off,xino=off,redirect_dir=off`,
    })
    linuxMounts.unmount(target ?? '')
    return { ok: true, found: 'works' }
  }

  #make(name: string): string {
    if (this.#folder === undefined) throw new Error('not tried: no private mount namespace')
    const path = join(this.#folder, name)
    mkdirSync(path)
    return path
  }
}

async function smallImage(): Promise<Uint8Array> {
  const image = new Uint8Array(1024 * 1024)
  let length = 0
  const writer = createErofsWriter({
    sink: {
      append(bytes) {
        image.set(bytes, length)
        length += bytes.length
      },
      rewrite: (offset, bytes) => image.set(bytes, offset),
    },
  })
  await writer.finish()
  return image.subarray(0, length)
}
