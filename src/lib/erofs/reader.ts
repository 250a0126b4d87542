import { BLOCK, direntType, S_IFDIR, S_IFMT } from './format.ts'
import { type ErofsEntry, entryOf, joinPath, readDirectory } from './read-entry.ts'
import { type Inode, parseInode } from './read-inode.ts'
import { parseSuperblock, type Superblock } from './read-superblock.ts'
import { type ErofsSource, invalid } from './source.ts'

/** Limits of `readErofs`. */
export interface ErofsReadLimits {
  /** Paths in one image; default 2,000,000. */
  readonly maxEntries?: number
}

/**
 * Walks an image in path order, directories before their entries, and checks every rule of
 * docs/formats/erofs.md on its way; what our writer would not make throws `EROFS_INVALID`.
 * The image is proven only when the walk has ended.
 */
export function* readErofs(
  source: ErofsSource,
  limits: ErofsReadLimits = {},
): Generator<ErofsEntry, void, undefined> {
  yield* new ImageWalk(source, limits.maxEntries ?? 2_000_000).entries()
}

class ImageWalk {
  readonly #source: ErofsSource
  readonly #superblock: Superblock
  readonly #maxEntries: number
  #entries = 0
  /** nlink as found, by nid; the links an inode claims are checked at the end. */
  readonly #links = new Map<number, { found: number; inode: Inode }>()

  constructor(source: ErofsSource, maxEntries: number) {
    this.#source = source
    this.#superblock = parseSuperblock(source)
    this.#maxEntries = maxEntries
  }

  *entries(): Generator<ErofsEntry, void, undefined> {
    const root = this.#inode(this.#superblock.rootNid)
    if ((root.mode & S_IFMT) !== S_IFDIR) throw invalid('the root is not a directory')
    yield entryOf(this.#source, new Uint8Array(0), root)
    const stack = [{ path: new Uint8Array(0), inode: root, parent: root }]
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const subdirectories: typeof stack = []
      for (const dirent of readDirectory(this.#source, top.inode, top.parent)) {
        const inode = this.#inode(dirent.nid)
        if (dirent.type !== direntType(inode.mode)) throw invalid('a dirent has the wrong type')
        const path = joinPath(top.path, dirent.name)
        if (this.#entries++ >= this.#maxEntries) throw invalid('there are too many entries')
        if ((inode.mode & S_IFMT) === S_IFDIR) {
          if ((this.#links.get(inode.nid)?.found ?? 0) > 1)
            throw invalid('a directory has two names')
          subdirectories.push({ path, inode, parent: top.inode })
        }
        yield entryOf(this.#source, path, inode)
      }
      if (top.inode.nlink !== 2 + subdirectories.length)
        throw invalid('a directory has wrong links')
      for (let at = subdirectories.length; at > 0; at--) {
        stack.push(subdirectories[at - 1] as (typeof stack)[number])
      }
    }
    this.#checkWhole()
  }

  #inode(nid: number): Inode {
    const known = this.#links.get(nid)
    if (known !== undefined) {
      known.found++
      return known.inode
    }
    const inode = parseInode(this.#source, this.#superblock, nid)
    this.#links.set(nid, { found: 1, inode })
    return inode
  }

  #checkWhole(): void {
    if (this.#links.size !== this.#superblock.inodes) throw invalid('the number of inodes is wrong')
    const runs: { start: number; end: number }[] = []
    const inos = new Set<number>()
    for (const { found, inode } of this.#links.values()) {
      if ((inode.mode & S_IFMT) !== S_IFDIR && found !== inode.nlink) {
        throw invalid('a file has another number of links than it says')
      }
      inos.add(inode.ino)
      runs.push({ start: inode.at, end: inode.end })
      if (inode.blocks > 0) {
        runs.push({ start: inode.block * BLOCK, end: (inode.block + inode.blocks) * BLOCK })
      }
    }
    if (inos.size !== this.#links.size) throw invalid('two inodes have one number')
    runs.sort((a, b) => a.start - b.start)
    for (const [index, run] of runs.entries()) {
      const next = runs[index + 1]
      if (next !== undefined && next.start < run.end) throw invalid('two inodes share bytes')
    }
  }
}
