import { spawnSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createErofsWriter } from '#lib/erofs'
import { mountErofs } from '#platform/erofs'
import { mountFuse } from '#platform/fuse'
import { attachLoop, loopMount } from '#platform/loop'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import { enterPrivateMounts } from '#platform/process'
import { needFuseDevice } from '../../supervisor/fuse-device.ts'
import { type Finding, NotTried, type Probe } from '../probe.ts'

/**
 * Probes of the filesystems, by mounting them: a name in /proc/filesystems says neither that a module
 * can be loaded nor that mounting is allowed. They run in a private mount namespace that this process
 * enters for good, so use them in a program that ends after them; nothing of it is seen outside. `root`
 * is where bundles and layers of this node lie: whether a file can be mounted depends on what it lies on.
 */
export function filesystemProbes(root: string): readonly Probe[] {
  const stage = new Stage(root)
  return [
    {
      name: 'namespaces',
      required: true,
      needed: 'mount namespaces',
      next: 'run as root, and allow unshare(2) here: not inside an unprivileged container',
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
      needed: 'EROFS, from a file or through a loop device',
      next: 'modprobe erofs loop; Debian and Ubuntu have both in the usual kernel packages',
      look: () => stage.erofs(),
    },
    {
      name: 'erofs-file',
      required: false,
      needed: 'Linux 6.12, and --root on a disk filesystem (not tmpfs, not overlay)',
      next: 'nothing to do while loop works: each layer then takes a loop device',
      look: () => stage.erofsFromFile(),
    },
    {
      name: 'loop',
      required: false,
      needed: 'loop devices, where EROFS does not mount from a file and for --scratch disk',
      next: 'modprobe loop, and give this environment /dev/loop-control and /dev/loop*',
      look: () => stage.loop(),
    },
    {
      name: 'scratch',
      required: false,
      needed: 'ext4 on a loop device, for --scratch disk (the default)',
      next: 'modprobe loop ext4; apt-get install -y e2fsprogs; or run with --scratch tmpfs',
      look: () => stage.scratch(),
    },
    {
      name: 'overlayfs',
      required: true,
      needed: 'overlay with an upper directory on tmpfs',
      next: 'modprobe overlay',
      look: () => stage.overlay(),
    },
    {
      name: 'noswap',
      required: false,
      needed: 'tmpfs that is never swapped (Linux 6.4)',
      next: 'upgrade the kernel, or keep swap off: what containers write lies in a tmpfs',
      look: () => stage.noswap(),
    },
  ]
}

const SCRATCH_SIZE = 32 * 1024 * 1024

/** A tmpfs to try things on; it and all that is on it vanish with the last process of the namespace. */
class Stage {
  readonly #root: string
  #folder: string | undefined

  constructor(root: string) {
    this.#root = root
  }

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
    needFuseDevice()
    closeSync(mountFuse(linuxMounts, directory, 4096))
    linuxMounts.unmount(directory, { detach: true })
    return { ok: true, found: 'works' }
  }

  async erofs(): Promise<Finding> {
    const how = await this.#onDisk((image) => {
      const target = this.#make('erofs')
      const way = mountErofs(linuxMounts, image, target)
      linuxMounts.unmount(target)
      return way
    })
    return { ok: true, found: how === 'file' ? 'from a file' : 'through a loop device' }
  }

  async erofsFromFile(): Promise<Finding> {
    return await this.#onDisk((image) => {
      const target = this.#make('erofs-file')
      try {
        const flags = MOUNT_FLAGS.rdonly
        linuxMounts.mount({ source: image, target, type: 'erofs', flags })
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOTBLK') throw error
        return { ok: false, found: `not below ${dirname(dirname(image))}` }
      }
      linuxMounts.unmount(target)
      return { ok: true, found: 'works' }
    })
  }

  async loop(): Promise<Finding> {
    return await this.#onDisk((image) => {
      // Opened first: where it is missing, that is the finding, whatever a mount would say.
      closeSync(openSync('/dev/loop-control', 'r+'))
      const target = this.#make('loop')
      try {
        loopMount(image, target)
        linuxMounts.unmount(target)
      } catch (error) {
        // The device was there: that EROFS cannot be mounted is the finding of another probe.
        if ((error as { syscall?: string }).syscall !== 'mount') throw error
      }
      return { ok: true, found: 'works' }
    })
  }

  scratch(): Finding {
    const target = this.#make('scratch')
    const folder = mkdtempSync(join(tmpdir(), 'enclave-cc-doctor-'))
    try {
      const file = join(folder, 'scratch')
      writeFileSync(file, '')
      truncateSync(file, SCRATCH_SIZE)
      const { fd, path } = attachLoop(file, 'write')
      try {
        const made = spawnSync('/usr/sbin/mke2fs', ['-t', 'ext4', '-q', '-F', path])
        if (made.error !== undefined) return { ok: false, found: 'there is no mke2fs' }
        if (made.status !== 0) return { ok: false, found: 'mke2fs failed' }
        const flags = MOUNT_FLAGS.nosuid | MOUNT_FLAGS.nodev
        linuxMounts.mount({ source: path, target, type: 'ext4', flags })
        linuxMounts.unmount(target)
      } finally {
        closeSync(fd)
      }
      return { ok: true, found: 'works' }
    } finally {
      rmSync(folder, { recursive: true })
    }
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

  noswap(): Finding {
    const target = this.#make('noswap')
    const tmpfs = { source: 'doctor', target, type: 'tmpfs', flags: MOUNT_FLAGS.nosuid }
    try {
      linuxMounts.mount({ ...tmpfs, data: 'noswap' })
    } catch (error) {
      if ((error as { code?: string }).code !== 'EINVAL') throw error
      return { ok: false, found: 'the kernel does not know the option' }
    }
    linuxMounts.unmount(target)
    return { ok: true, found: 'works' }
  }

  /** Runs `look` with an image on the filesystem of the node's data. */
  async #onDisk<T>(look: (image: string) => T): Promise<T> {
    if (this.#folder === undefined) throw new NotTried('namespaces')
    const folder = mkdtempSync(join(nearest(this.#root), '.enclave-cc-doctor-'))
    try {
      const image = join(folder, 'image.erofs')
      writeFileSync(image, await smallImage())
      return look(image)
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  #make(name: string): string {
    if (this.#folder === undefined) throw new NotTried('namespaces')
    const path = join(this.#folder, name)
    mkdirSync(path)
    return path
  }
}

/** The folder, or the nearest one above it that exists. */
function nearest(folder: string): string {
  return existsSync(folder) || folder === dirname(folder) ? folder : nearest(dirname(folder))
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
