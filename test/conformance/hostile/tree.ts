import { createHash } from 'node:crypto'
import {
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { randomOf } from '../../../scripts/fuzz-mutations.ts'

/** What one path of a tree must look like, whatever the host does. */
export interface Expected {
  /** Relative to the root; `''` is the root itself. */
  readonly path: string
  readonly mode: number
  readonly size: number
  /** Whole seconds. */
  readonly mtime: number
  /** SHA-256 of the bytes of a file, the target of a link, the sorted names of a directory. */
  readonly content: string
}

/** How a tree is made; the same spec gives the same tree. */
export interface TreeSpec {
  readonly folder: string
  readonly files: number
  /** Decides names, sizes and modes. */
  readonly shape: number
  /** Decides the bytes of the files alone: two trees of one shape make images of one length. */
  readonly content: number
}

const DIRECTORIES = 40
const TIME = 1_600_000_000

/**
 * Makes a tree of many small files, some larger ones, symbolic and hard links: sizes from 0 to 60 KB
 * around the borders of blocks, and four files of 300 KB that are read ahead.
 */
export function makeTree({ folder, files, shape, content }: TreeSpec): void {
  const random = randomOf(shape)
  const bytes = new Content(content)
  mkdirSync(folder, { recursive: true })
  const directories = ['']
  for (let i = 0; i < DIRECTORIES; i++) {
    const parent = directories[random(directories.length)] ?? ''
    const path = join(parent, `d${i}${'x'.repeat(random(30))}`)
    mkdirSync(join(folder, path), { mode: 0o755 })
    directories.push(path)
  }
  for (let i = 0; i < files; i++) {
    const path = join(directories[random(directories.length)] ?? '', `f${i}`)
    const target = join(folder, path)
    if (i > 0 && i % 97 === 0) {
      linkSync(join(folder, 'first'), target)
      continue
    }
    if (i > 0 && i % 41 === 0) {
      symlinkSync(`${'../'.repeat(random(3))}first`, target)
      continue
    }
    const size = sizeOf(i, files, random)
    writeFileSync(target, bytes.next(size), { mode: 0o600 | random(0o100) })
    if (i === 0) linkSync(target, join(folder, 'first'))
  }
  settle(folder)
}

/** What a reader of the merged tree must see; later folders lie on top. */
export function expectations(folders: readonly string[]): readonly Expected[] {
  const merged = new Map<string, Expected>()
  for (const folder of folders) {
    for (const path of ['', ...readdirSync(folder, { recursive: true, encoding: 'utf8' })]) {
      merged.set(path, describe(folder, path))
    }
  }
  const names = new Map<string, string[]>()
  for (const path of merged.keys()) {
    if (path === '') continue
    const at = path.lastIndexOf('/')
    const parent = at === -1 ? '' : path.substring(0, at)
    names.set(parent, [...(names.get(parent) ?? []), path.substring(at + 1)])
  }
  return [...merged.values()].map((entry) =>
    isDirectory(entry.mode)
      ? { ...entry, content: (names.get(entry.path) ?? []).sort().join('\0') }
      : entry,
  )
}

/** Whether a mode is that of a directory. */
export function isDirectory(mode: number): boolean {
  return (mode & 0o170000) === 0o040000
}

function describe(folder: string, path: string): Expected {
  const full = join(folder, path)
  const stat = lstatSync(full)
  let content = ''
  if (stat.isFile()) content = createHash('sha256').update(readFileSync(full)).digest('hex')
  if (stat.isSymbolicLink()) content = readlinkSync(full)
  const mtime = Math.floor(stat.mtimeMs / 1000)
  return { path, mode: stat.mode, size: stat.size, mtime, content }
}

function sizeOf(index: number, files: number, random: (below: number) => number): number {
  if (index >= files - 4) return 300_000
  switch (random(10)) {
    case 0:
      return 4096 * random(4)
    case 1:
    case 2:
      return 4096 + random(56_000)
    case 3:
    case 4:
      return random(512)
    default:
      return random(6000)
  }
}

/** Bytes without end from a seed, in slices. */
class Content {
  readonly #seed: number
  #count = 0

  constructor(seed: number) {
    this.#seed = seed
  }

  next(length: number): Uint8Array {
    this.#count += 1
    const key = `${this.#seed} ${this.#count}`
    return createHash('shake256', { outputLength: Math.max(1, length) })
      .update(key)
      .digest()
      .subarray(0, length)
  }
}

/** Gives everything a time of its own that does not depend on when the test ran. */
function settle(folder: string): void {
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort((a, b) => b.length - a.length)
    .forEach((path, i) => {
      const full = join(folder, path)
      if (!lstatSync(full).isSymbolicLink()) utimesSync(full, TIME + i, TIME + i)
    })
}
