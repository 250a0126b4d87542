import { compareBytes, concat, utf8 } from '#lib/bytes'
import { ErofsError } from './erofs-error.ts'
import { direntType, S_IFDIR, S_IFLNK, S_IFMT } from './format.ts'
import { type PathLike, quote } from './path.ts'
import { type ErofsEntry, entryOf, joinPath, readData, readDirectory } from './read-entry.ts'
import { type Inode, parseInode } from './read-inode.ts'
import { parseSuperblock } from './read-superblock.ts'
import { type ErofsSource, invalid } from './source.ts'

/** Symlinks on one path, as in Linux. */
const MAX_LINKS = 40
/** As deep and as long as our writer makes a path (docs/formats/erofs.md, Limits). */
const MAX_DEPTH = 256
const MAX_PATH = 4096
const SLASH = 0x2f

interface Place {
  readonly path: Uint8Array
  readonly inode: Inode
}

/**
 * The entry of one path, found as a kernel would whose root is the image: symlinks are followed (the last
 * one too), absolute ones from the image's root, and `..` ends at the root. Reads only what
 * lies on the way, and checks it as `readErofs` does. Throws ErofsError: `EROFS_NOT_FOUND`, `EROFS_LOOP`
 * above 40 symlinks, `EROFS_LIMIT` for a path that is too long, `EROFS_INVALID`.
 */
export function findErofs(source: ErofsSource, path: PathLike): ErofsEntry {
  const superblock = parseSuperblock(source)
  const wanted = typeof path === 'string' ? utf8(path) : path
  const root: Place = {
    path: new Uint8Array(0),
    inode: parseInode(source, superblock, superblock.rootNid),
  }
  let way: Place[] = [root]
  let links = 0
  // Names still to go, the next one last.
  const pending = namesOf(wanted, path).reverse()
  for (let name = pending.pop(); name !== undefined; name = pending.pop()) {
    const top = way.at(-1) as Place
    if (!isType(top.inode, S_IFDIR)) throw missing(path, `${shown(top.path)} is not a directory`)
    if (isText(name, '.')) continue
    if (isText(name, '..')) {
      if (way.length > 1) way.pop()
      continue
    }
    const next = step(source, top, way.at(-2) ?? root, name)
    if (next === undefined) throw missing(path, `${shown(joinPath(top.path, name))} is not there`)
    const inode = parseInode(source, superblock, next.nid)
    if (next.type !== direntType(inode.mode)) throw invalid('a dirent has the wrong type')
    if (!isType(inode, S_IFLNK)) {
      const found = joinPath(top.path, name)
      // A root that holds itself under a name would let a short path with symlinks fill the memory.
      if (way.length > MAX_DEPTH || found.length > MAX_PATH) throw invalid('a path is too deep')
      way.push({ path: found, inode })
      continue
    }
    if (++links > MAX_LINKS) {
      const found = `more than ${MAX_LINKS} symbolic links lie on the way`
      throw new ErofsError('EROFS_LOOP', `looking for ${quote(path)}: ${found}`)
    }
    const target = readData(source, inode, 0, inode.size)
    if (target[0] === SLASH) way = [root]
    pending.push(...namesOf(target, path).reverse())
  }
  const { path: found, inode } = way.at(-1) as Place
  return entryOf(source, found, inode)
}

function step(source: ErofsSource, directory: Place, parent: Place, name: Uint8Array) {
  for (const dirent of readDirectory(source, directory.inode, parent.inode)) {
    if (compareBytes(dirent.name, name) === 0) return dirent
  }
  return undefined
}

function namesOf(path: Uint8Array, wanted: PathLike): Uint8Array[] {
  if (path.length > MAX_PATH) throw tooLong(wanted)
  const names: Uint8Array[] = []
  for (let start = 0; start < path.length; ) {
    const slash = path.indexOf(SLASH, start)
    const end = slash < 0 ? path.length : slash
    if (end > start) names.push(path.subarray(start, end))
    start = end + 1
  }
  // `file/` asks for a directory.
  if (path.at(-1) === SLASH) names.push(utf8('.'))
  return names
}

function isType(inode: Inode, type: number): boolean {
  return (inode.mode & S_IFMT) === type
}

function isText(name: Uint8Array, text: string): boolean {
  return compareBytes(name, utf8(text)) === 0
}

function shown(path: Uint8Array): string {
  return quote(concat(Uint8Array.of(SLASH), path))
}

function missing(path: PathLike, found: string): ErofsError {
  return new ErofsError('EROFS_NOT_FOUND', `looking for ${quote(path)}: ${found}`)
}

function tooLong(path: PathLike): ErofsError {
  return new ErofsError('EROFS_LIMIT', `looking for ${quote(path)}: the path is too long`)
}
