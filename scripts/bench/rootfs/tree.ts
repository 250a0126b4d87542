import { execFileSync } from 'node:child_process'
import { createCipheriv, createHash } from 'node:crypto'
import {
  closeSync,
  createReadStream,
  existsSync,
  globSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { makeRoot, unpackPackages } from '../../../test/support/debian.ts'
import { randomOf } from '../../fuzz-mutations.ts'

/** The tree that every contender shows, as an archive. */
export interface TreeArchive {
  readonly path: string
  readonly size: number
  /** `sha256:` and hex. */
  readonly digest: string
}

/** Places in the tree; absolute inside it. */
export const PLACES = {
  /** One file of RANDOM_BYTES random bytes. */
  random: '/srv/random.bin',
  /** A git work tree of SMALL_FILES small files. */
  repository: '/srv/repository',
  python: '/usr/bin/python3.11',
} as const

/** Bytes of the one large file. */
export const RANDOM_BYTES: number = 384 * 2 ** 20
/** Files of the git work tree. */
export const SMALL_FILES = 9000

const SEED = 1
const FILES_A_FOLDER = 60
/** Bytes of a small file: from the first, as many more at most. */
const SMALL_SIZE = [200, 6000] as const
const PACKAGES = [
  ...[
    'base-files',
    'libc6',
    'libgcc-s1',
    'libstdc++6',
    'libatomic1',
    'zlib1g',
    'coreutils',
    'dash',
  ],
  ...['libselinux1', 'libpcre2-8-0', 'libattr1', 'libacl1', 'libgmp10', 'libssl3', 'locales-all'],
  ...['python3.11', 'python3.11-minimal', 'libpython3.11-minimal', 'libpython3.11-stdlib'],
  ...['libsqlite3-0', 'libffi8', 'libbz2-1.0', 'liblzma5', 'libexpat1', 'libuuid1', 'media-types'],
  ...['libreadline8', 'libtinfo6', 'libncursesw6', 'sqlite3', 'git', 'perl-modules-5.36'],
  ...['redis-server', 'redis-tools', 'libsystemd0', 'libcap2', 'libgcrypt20', 'libgpg-error0'],
  ...['libzstd1', 'liblz4-1', 'libjemalloc2', 'liblzf1', 'libhiredis0.14'],
]

/**
 * Makes the archive, or finds the one that an earlier run left in `folder`: Debian packages, locale
 * data, a git work tree and a large random file. All but the packages follows from a fixed seed.
 */
export async function treeArchive(
  folder: string,
  note: (text: string) => void,
): Promise<TreeArchive> {
  // What is kept fits this file, which is the recipe.
  const recipe = createHash('sha256')
    .update(readFileSync(import.meta.filename))
    .digest('hex')
  const path = join(folder, `tree-${recipe.slice(0, 12)}.tar`)
  if (!existsSync(path)) {
    for (const old of globSync('tree-*.tar', { cwd: folder })) rmSync(join(folder, old))
    note(`unpack ${PACKAGES.length} Debian packages and make ${SMALL_FILES} files`)
    const root = join(folder, `tree.${process.pid}`)
    try {
      mkdirSync(root, { recursive: true })
      makeRoot(root)
      // What runs in the tree does so by chroot, without a /dev of its own; git insists on this one.
      writeFileSync(join(root, 'dev/null'), '')
      unpackPackages(PACKAGES, root)
      compilePython(root)
      makeRepository(root)
      makeRandom(join(root, PLACES.random))
      execFileSync('tar', [
        ...['--create', '--file', `${path}.${process.pid}`, '--directory', root, '--format=pax'],
        ...['--sort=name', '--numeric-owner', '--pax-option=delete=atime,delete=ctime', '.'],
      ])
      renameSync(`${path}.${process.pid}`, path)
    } finally {
      rmSync(root, { recursive: true, force: true })
    }
  }
  const hash = createHash('sha256')
  let size = 0
  for await (const piece of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    const bytes = piece as Uint8Array
    hash.update(bytes)
    size += bytes.length
  }
  return { path, size, digest: `sha256:${hash.digest('hex')}` }
}

/** As the packages' own installation does, but without times in the result. */
function compilePython(root: string): void {
  execFileSync('chroot', [
    ...[root, PLACES.python, '-m', 'compileall', '-q'],
    ...['--invalidation-mode', 'unchecked-hash', '/usr/lib/python3.11'],
  ])
}

function makeRepository(root: string): void {
  const random = randomOf(SEED)
  const top = join(root, PLACES.repository)
  const text = keystream(SMALL_SIZE[0] + SMALL_SIZE[1]).toString('base64')
  for (let i = 0; i < SMALL_FILES; i++) {
    const path = join(top, `part-${Math.floor(i / FILES_A_FOLDER)}`, `file-${i}.txt`)
    if (i % FILES_A_FOLDER === 0) mkdirSync(dirname(path), { recursive: true })
    const length = SMALL_SIZE[0] + random(SMALL_SIZE[1])
    writeFileSync(path, `${i}\n${text.substring(0, length)}\n`)
  }
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/nonexistent',
    GIT_CONFIG_NOSYSTEM: '1',
    ...identity('AUTHOR'),
    ...identity('COMMITTER'),
  }
  const git = (...args: string[]): void =>
    void execFileSync('git', args, { cwd: top, env, stdio: ['ignore', 'ignore', 'pipe'] })
  git('init', '--quiet', '--initial-branch=main')
  git('add', '.')
  git('commit', '--quiet', '--message', 'all')
  git('repack', '-adq')
}

function identity(who: string): Record<string, string> {
  return {
    [`GIT_${who}_NAME`]: 'Bench',
    [`GIT_${who}_EMAIL`]: 'bench@example.com',
    [`GIT_${who}_DATE`]: '2026-01-01T00:00:00Z',
  }
}

function makeRandom(path: string): void {
  const fd = openSync(path, 'wx', 0o644)
  try {
    const piece = 2 ** 20
    const cipher = stream()
    for (let done = 0; done < RANDOM_BYTES; done += piece) {
      writeSync(fd, cipher.update(new Uint8Array(piece)))
    }
  } finally {
    closeSync(fd)
  }
}

function keystream(length: number): Buffer {
  return stream().update(new Uint8Array(length))
}

/** Random bytes of a fixed seed, as fast as a disk: AES-CTR over zeros. */
function stream(): ReturnType<typeof createCipheriv> {
  return createCipheriv('aes-128-ctr', new Uint8Array(16).fill(SEED), new Uint8Array(16))
}
