import { createHash } from 'node:crypto'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { makeOwned, makeRoot, unpackPackages } from './debian.ts'
import { writeOciImage } from './oci-image.ts'

const APPLETS = ['cat', 'echo', 'env', 'false', 'grep', 'id', 'kill', 'ls', 'md5sum', 'mount']
const MORE = [
  'ps',
  'pwd',
  'sh',
  'sleep',
  'stat',
  'touch',
  'trap',
  'true',
  'wc',
  'yes',
  'dd',
  'hostname',
]

// Unpacked once and kept; named by what it was made of, so that a longer list makes another.
const BUILD = createHash('sha256')
  .update([...APPLETS, ...MORE].join(' '))
  .digest('hex')
  .slice(0, 8)
const KEPT = join(dirname(dirname(import.meta.dirname)), `.bootstrap/busybox-${BUILD}`)

/** Options of `buildBusyboxImage`. */
export interface BusyboxImageOptions {
  /** Folder to build in. */
  readonly work: string
  /** OCI layout to write. */
  readonly out: string
  readonly config: Readonly<Record<string, unknown>>
  readonly architecture?: string
  /** Files of a second layer, by absolute path. */
  readonly files?: Readonly<Record<string, string | Uint8Array>>
}

/** A root with Debian's busybox-static and its applets, unpacked once and kept. */
export function busyboxRoot(): string {
  if (!existsSync(KEPT)) {
    mkdirSync(dirname(KEPT), { recursive: true })
    const fresh = mkdtempSync(`${KEPT}.new-`)
    chmodSync(fresh, 0o755)
    makeRoot(fresh)
    unpackPackages(['busybox-static'], fresh)
    for (const name of [...APPLETS, ...MORE]) symlinkSync('busybox', join(fresh, 'usr/bin', name))
    try {
      renameSync(fresh, KEPT)
    } catch (error) {
      // another run was first
      rmSync(fresh, { recursive: true })
      if (!existsSync(KEPT)) throw error
    }
  }
  return KEPT
}

/** Debian's static busybox, which need not be installed. */
export function busyboxBinary(): string {
  return join(busyboxRoot(), 'usr/bin/busybox')
}

/** Builds a small image from Debian's busybox-static: two layers, a user `app` (1000). Returns the digest. */
export function buildBusyboxImage(options: BusyboxImageOptions): string {
  const own = join(options.work, 'own')
  rmSync(own, { recursive: true, force: true })
  mkdirSync(join(own, 'etc'), { recursive: true })
  writeFileSync(
    join(own, 'etc/passwd'),
    'root:x:0:0::/:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n',
  )
  writeFileSync(join(own, 'etc/group'), 'root:x:0:\napp:x:1000:\nextra:x:2000:app\n')
  makeOwned(join(own, 'home/app'), 1000, 1000)
  for (const [path, content] of Object.entries(options.files ?? {})) {
    mkdirSync(dirname(join(own, path)), { recursive: true })
    writeFileSync(join(own, path), content)
  }
  return writeOciImage(options.out, 'plain', {
    layers: [busyboxRoot(), own],
    config: { Env: ['PATH=/usr/bin:/bin'], ...options.config },
    ...(options.architecture === undefined ? {} : { architecture: options.architecture }),
  })
}
