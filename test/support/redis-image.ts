import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { makeOwned, makeRoot, unpackPackages } from './debian.ts'
import { writeOciImage } from './oci-image.ts'

const BASE = ['base-files', 'libc6', 'libgcc-s1', 'libstdc++6', 'libatomic1']
const LIBRARIES = [
  'libssl3',
  'libsystemd0',
  'libcap2',
  'libgcrypt20',
  'libgpg-error0',
  'liblzma5',
  'libzstd1',
  'liblz4-1',
  'libjemalloc2',
  'liblzf1',
  'libhiredis0.14',
]
const REDIS = ['redis-server', 'redis-tools']
const UID = 999

/** Options of `buildRedisImage`. */
export interface RedisImageOptions {
  /** Folder to build in; unpacked packages stay there for the next time. */
  readonly work: string
  /** OCI layout to write. */
  readonly out: string
  readonly port: number
  /** Text that stands in a file of the image and nowhere else. */
  readonly marker: string
  /** Called before each package set is fetched. */
  readonly onStep?: (text: string) => void
}

/**
 * Builds an image from Debian's own redis-server: four layers, a non-root user, symlinks, a volume.
 * Two further things are for looking at protection: a file with a marker, and a layer with one large
 * file that nothing reads by itself. Returns the manifest's digest.
 */
export function buildRedisImage(options: RedisImageOptions): string {
  const { work, onStep = () => {} } = options
  const sets: [string, readonly string[]][] = [
    ['base', BASE],
    ['libraries', LIBRARIES],
    ['redis', REDIS],
  ]
  for (const [name, packages] of sets) {
    if (existsSync(join(work, name))) continue
    onStep(`fetch ${packages.length} Debian packages for layer "${name}"`)
    const fresh = join(work, `.${name}.new`)
    rmSync(fresh, { recursive: true, force: true })
    mkdirSync(fresh, { recursive: true })
    if (name === 'base') makeRoot(fresh)
    unpackPackages(packages, fresh)
    renameSync(fresh, join(work, name))
  }
  // beside the image, since another run may be building at the same time
  const own = `${options.out}-configuration`
  rmSync(own, { recursive: true, force: true })
  writeConfiguration(own, options)
  const model = `${options.out}-model`
  rmSync(model, { recursive: true, force: true })
  mkdirSync(join(model, 'opt/model'), { recursive: true })
  // executable, so that the server is willing to open it as a module: that is how the demo has it read
  writeFileSync(join(model, 'opt/model/weights.bin'), weights(2 * 1024 * 1024), { mode: 0o755 })
  onStep('write the image: five layers')
  const names = sets.map(([name]) => name)
  return writeOciImage(options.out, 'plain', {
    layers: [...names.map((name) => join(work, name)), own, model],
    kept: { folder: join(work, 'packed'), names },
    config: {
      User: 'redis',
      Env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'LANG=C.UTF-8'],
      Cmd: ['redis-server', '/etc/redis/redis.conf'],
      WorkingDir: '/data',
      Volumes: { '/data': {} },
      StopSignal: 'SIGTERM',
    },
  })
}

function writeConfiguration(own: string, options: RedisImageOptions): void {
  mkdirSync(join(own, 'etc/redis'), { recursive: true })
  writeFileSync(
    join(own, 'etc/redis/redis.conf'),
    `bind 127.0.0.1
port ${options.port}
dir /data
save ""
appendonly no
daemonize no
enable-module-command local
`,
  )
  writeFileSync(join(own, 'etc/redis/licence-key.txt'), `${options.marker}\n`)
  writeFileSync(
    join(own, 'etc/passwd'),
    `root:x:0:0:root:/root:/sbin/nologin\nredis:x:${UID}:${UID}:redis:/data:/sbin/nologin\n`,
  )
  writeFileSync(join(own, 'etc/group'), `root:x:0:\nredis:x:${UID}:\n`)
  makeOwned(join(own, 'data'), UID, UID)
  symlinkSync('redis/redis.conf', join(own, 'etc/redis.conf'))
  for (const name of ['etc/redis/redis.conf', 'etc/redis/licence-key.txt']) {
    chmodSync(join(own, name), 0o640)
    execFileSync('chown', [`${UID}:${UID}`, join(own, name)])
  }
}

// Bytes that look like data and do not compress; the same every time.
function weights(size: number): Uint8Array {
  const bytes = new Uint8Array(size)
  let state = 1
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    bytes[i] = state >>> 24
  }
  return bytes
}
