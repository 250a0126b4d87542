import { createHash, randomBytes } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  realpathSync,
  rmdirSync,
  rmSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { CodedError } from '#lib/errors'
import { mountErofs } from '#platform/erofs'
import { type FileLock, lockFile, tryLockFile } from '#platform/lock'
import { linuxMounts, MOUNT_FLAGS } from '#platform/mount'
import { readBundle, type SignedBundle } from './signed-bundle.ts'
import { checkState } from './state-directory.ts'

const BLOCK = 1024 * 1024

/** A bundle mounted on this node, kept for as long as somebody holds it. */
export interface MountedBundle extends SignedBundle {
  /** The image's root, read only. */
  readonly root: string
  /** Folder of this mount below the state directory, for `releaseBundle`. */
  readonly base: string
  /** Descriptor whose inheritance keeps the mount: a child that has it is a user too. */
  readonly holdFd: number
  /** Gives up this hold; whoever gives up the last one unmounts. */
  release(): void
}

/** Where bundles are mounted and their private copies are made. */
export interface BundlePlaces {
  readonly root: string
  readonly state: string
}

/**
 * Mounts the bundle in `dir` unless it is mounted already, and holds it. The image is hashed while it
 * is copied to a private file without a name, which is mounted: nothing on disk can be exchanged
 * between the check and what is executed. Throws CodedError BUNDLE_MISSING,
 * BUNDLE_IMAGE_MISMATCH, EROFS_MISSING, LOOP_MISSING or STATE_UNSAFE.
 */
export function holdBundle(dir: string, places: BundlePlaces): MountedBundle {
  const { agent, init } = readBundle(dir)
  const { sha256, size } = agent.manifest.image
  mkdirSync(places.state, { recursive: true, mode: 0o700 })
  checkState(places.state)
  // as the kernel names mounts: without links, `/var/run` is one on most machines
  const base = join(realpathSync(places.state), 'bundles', sha256.slice(0, 32))
  const root = join(base, 'root')
  using _mutex = lockFolder(base)
  const hold = lockFile(join(base, 'users'), 'shared')
  try {
    if (!isMounted(root)) {
      mkdirSync(root, { recursive: true })
      mountCopy(join(dir, 'bundle.erofs'), sha256, size, root, places.root)
    }
  } catch (error) {
    hold[Symbol.dispose]()
    removeIfLast(base)
    throw error
  }
  return { agent, init, root, base, holdFd: hold.fd, release: () => releaseHold(hold, base) }
}

/** Unmounts every bundle of this state directory that nobody holds (left by a killed supervisor). */
export function sweepBundles(state: string): void {
  checkState(state)
  for (const base of bundleFolders(state)) releaseHold(undefined, base)
}

// A supervisor that ends now may take them away while they are listed: then there is nothing to sweep.
function bundleFolders(state: string): readonly string[] {
  try {
    const folder = join(realpathSync(state), 'bundles')
    return readdirSync(folder).map((name) => join(folder, name))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}

/** Gives up an inherited hold (see `holdFd`); whoever gives up the last one unmounts. */
export function releaseBundle(base: string, holdFd: number): void {
  releaseHold({ fd: holdFd, [Symbol.dispose]: () => closeSync(holdFd) }, base)
}

function releaseHold(hold: FileLock | undefined, base: string): void {
  using _mutex = lockFolder(base)
  hold?.[Symbol.dispose]()
  removeIfLast(base)
}

function removeIfLast(base: string): void {
  using last = tryLockFile(join(base, 'users'), 'exclusive')
  if (last === undefined) return
  unmountAll(join(base, 'root'))
  // the lock files go too; whoever waits for the mutex sees that and makes new ones
  rmSync(base, { recursive: true })
  try {
    rmdirSync(dirname(base))
  } catch {
    // other bundles are there
  }
}

// Until the kernel says that nothing is mounted there. Its table of mounts is not asked: other commands
// change it while it is read. A mount may linger until its users are gone: detach, never wait.
function unmountAll(root: string): void {
  for (;;) {
    try {
      linuxMounts.unmount(root, { detach: true })
    } catch (error) {
      if (['EINVAL', 'ENOENT'].includes((error as { code?: string }).code ?? '')) return
      throw error
    }
  }
}

function lockFolder(base: string): FileLock {
  for (;;) {
    try {
      mkdirSync(base, { recursive: true, mode: 0o700 })
      return lockFile(join(base, 'mutex'), 'exclusive')
    } catch (error) {
      // removed in between by the last holder
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  }
}

function isMounted(path: string): boolean {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .some((line) => unescaped(line.split(' ')[4] ?? '') === path)
}

// the kernel writes space, tab, newline and backslash as octal numbers
function unescaped(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, digits: string) =>
    String.fromCharCode(Number.parseInt(digits, 8)),
  )
}

// The copy has no name from its first byte on: a command that is killed here leaves none, and what is
// mounted is the very file that was hashed.
function mountCopy(
  image: string,
  sha256: string,
  size: number,
  target: string,
  root: string,
): void {
  const folder = join(root, 'bundles')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const name = join(folder, `.private-${randomBytes(8).toString('hex')}`)
  const copy = openSync(name, 'wx+', 0o400)
  try {
    rmSync(name)
    const actual = copyHashed(image, copy, size)
    if (actual !== sha256) {
      throw new CodedError('BUNDLE_IMAGE_MISMATCH', `${image} is not the image of its manifests`, {
        details: { expected: sha256, actual },
      })
    }
    mountErofs(linuxMounts, `/proc/self/fd/${copy}`, target, MOUNT_FLAGS.nosuid)
  } finally {
    closeSync(copy)
  }
}

function copyHashed(from: string, output: number, size: number): string {
  const hash = createHash('sha256')
  const buffer = Buffer.allocUnsafe(BLOCK)
  const input = openImage(from)
  try {
    let total = 0
    for (;;) {
      const count = readSync(input, buffer)
      if (count === 0) return hash.digest('hex')
      total += count
      // a file that grows while it is copied must not fill the disk
      if (total > size) return 'longer than its manifests say'
      const part = buffer.subarray(0, count)
      hash.update(part)
      for (let at = 0; at < count; ) at += writeSync(output, part, at)
    }
  } finally {
    closeSync(input)
  }
}

function openImage(file: string): number {
  try {
    return openSync(file, 'r')
  } catch (cause) {
    throw new CodedError('BUNDLE_MISSING', `reading ${file} failed`, { cause })
  }
}
