import { copyOf } from '#lib/bytes'
import { BytePool } from './byte-pool.ts'
import { Dirents } from './dirents.ts'
import { ErofsError } from './erofs-error.ts'
import { S_IFCHR, S_IFDIR, S_IFMT } from './format.ts'
import type { ErofsLimits } from './limits.ts'
import { IS_OPAQUE, IS_PENDING, Nodes } from './nodes.ts'
import { type PathLike, quote, splitPath } from './path.ts'
import { encodeXattrs, type Xattr } from './xattr.ts'

/** What every entry carries. */
export interface Attributes {
  /** Permission bits with set-id and sticky, 0 to 07777; default 0755 for directories, 0777 for symlinks, else 0644. */
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  /** Modification time; default the epoch. */
  readonly mtime?: { readonly seconds: number; readonly nanoseconds: number }
  readonly xattrs?: readonly Xattr[]
}

/** The root's node. */
export const ROOT = 0

/**
 * The tree in memory. Paths are looked up name by name in it and nowhere else, so an
 * archive can neither leave its root nor write through a symlink.
 */
export class Tree {
  readonly nodes: Nodes
  readonly dirents: Dirents
  readonly xattrs: BytePool = new BytePool()
  /** Hard links to paths not seen yet, by placeholder node: the target's path, later its node. */
  readonly #pending = new Map<number, Uint8Array | number>()
  #pendingBytes = 0

  readonly #limits: ErofsLimits

  constructor(limits: ErofsLimits) {
    this.#limits = limits
    this.nodes = new Nodes(limits.nodes)
    this.dirents = new Dirents(limits.names)
    this.nodes.add(S_IFDIR | 0o755)
  }

  /** Adds or updates a directory; children of an existing one stay. */
  addDirectory(path: PathLike, attributes: Attributes): number {
    const names = splitPath(path)
    const name = names.pop()
    const node = name === undefined ? ROOT : this.#directory(this.#parent(names, path), name, true)
    this.#setAttributes(node as number, S_IFDIR, 0o755, attributes)
    return node as number
  }

  /** Adds an entry that is not a directory, in the place of whatever has its name. */
  add(path: PathLike, type: number, defaultMode: number, attributes: Attributes): number {
    const [parent, name] = this.#place(path)
    const node = this.nodes.add(type)
    this.#setAttributes(node, type, defaultMode, attributes)
    this.#link(parent, name, node)
    return node
  }

  /** A whiteout, unless this layer has the name already: then that entry wins. */
  addWhiteout(path: PathLike): void {
    const [parent, name] = this.#place(path)
    const dirent = this.dirents.find(parent, name)
    if (dirent < 0) {
      this.#link(parent, name, this.nodes.add(S_IFCHR))
    } else {
      // The entry survives its own layer's whiteout, what lies below it does not.
      const node = this.dirents.node[dirent] as number
      if (this.isDirectory(node)) this.#flag(node, IS_OPAQUE)
    }
  }

  /** Marks a directory opaque; it is made if it is missing. */
  setOpaque(path: PathLike): void {
    this.#flag(this.#parent(splitPath(path), path), IS_OPAQUE)
  }

  /** A hard link; the target may come later. */
  addHardlink(path: PathLike, target: PathLike): void {
    const [parent, name] = this.#place(path)
    const targetNames = splitPath(target)
    const found = this.#lookup(targetNames)
    if (found >= 0 && !this.isWhiteout(found)) {
      if (this.isDirectory(found)) throw linkError(path, target, 'is a directory')
      // A link to itself changes nothing.
      this.#link(parent, name, found)
      return
    }
    const { pendingLinks, pendingBytes } = this.#limits
    const copy = typeof target === 'string' ? new TextEncoder().encode(target) : copyOf(target)
    this.#pendingBytes += copy.length
    if (this.#pending.size >= pendingLinks || this.#pendingBytes > pendingBytes) {
      const found = `more than ${pendingLinks} hard links, or ${pendingBytes} bytes of their targets`
      throw new ErofsError('EROFS_LIMIT', `writing an image: ${found}, stand before the targets`)
    }
    const node = this.nodes.add(0)
    this.#flag(node, IS_PENDING)
    this.#pending.set(node, copy)
    this.#link(parent, name, node)
  }

  /**
   * The node of a dirent; for a hard link that waits for its target, the target's, from now
   * on. Throws `EROFS_LINK_TARGET` if there is none.
   */
  settle(dirent: number): number {
    const node = this.dirents.node[dirent] as number
    if (!this.#isPending(node)) return node
    const settled = this.#resolve(node, dirent)
    this.dirents.node[dirent] = settled
    return settled
  }

  /** True if the root hides all layers below: overlayfs itself ignores the mark on a root. */
  get opaqueRoot(): boolean {
    return ((this.nodes.flags[ROOT] as number) & IS_OPAQUE) !== 0
  }

  /** True for a directory. */
  isDirectory(node: number): boolean {
    return ((this.nodes.mode[node] as number) & S_IFMT) === S_IFDIR
  }

  /** True for character device 0:0. */
  isWhiteout(node: number): boolean {
    return ((this.nodes.mode[node] as number) & S_IFMT) === S_IFCHR && this.nodes.block[node] === 0
  }

  #resolve(pending: number, dirent: number): number {
    const seen = new Set<number>()
    let node = pending
    while (this.#isPending(node)) {
      const target = this.#pending.get(node) as Uint8Array | number
      // A chain is walked once: what it leads to is kept for each of its links.
      if (typeof target === 'number') {
        node = target
        break
      }
      const path = this.dirents.name(dirent)
      if (seen.has(node)) throw linkError(path, target, 'leads back to itself')
      seen.add(node)
      node = this.#lookup(splitPath(target))
      if (node < 0 || this.isWhiteout(node)) throw linkError(path, target, 'is not in this image')
      if (this.isDirectory(node)) throw linkError(path, target, 'is a directory')
    }
    for (const link of seen) this.#pending.set(link, node)
    return node
  }

  #isPending(node: number): boolean {
    return ((this.nodes.flags[node] as number) & IS_PENDING) !== 0
  }

  #place(path: PathLike): [number, Uint8Array] {
    const names = splitPath(path)
    const name = names.pop()
    if (name === undefined) {
      throw new ErofsError('EROFS_NOT_DIRECTORY', 'adding the root: it must be a directory')
    }
    return [this.#parent(names, path), name]
  }

  #parent(names: readonly Uint8Array[], path: PathLike): number {
    let node = ROOT
    for (const name of names) {
      const next = this.#directory(node, name, false)
      if (next === undefined) {
        const found = `${quote(name)} on its way is not a directory`
        throw new ErofsError('EROFS_NOT_DIRECTORY', `adding ${quote(path)}: ${found}`)
      }
      node = next
    }
    return node
  }

  /** The directory of that name; made where missing, or in the place of another kind if `replace`. */
  #directory(parent: number, name: Uint8Array, replace: boolean): number | undefined {
    const dirent = this.dirents.find(parent, name)
    const existing = dirent < 0 ? -1 : (this.dirents.node[dirent] as number)
    if (existing >= 0) {
      if (this.isDirectory(existing)) return existing
      if (!replace && !this.isWhiteout(existing)) return undefined
    }
    const node = this.nodes.add(S_IFDIR | 0o755)
    this.nodes.parent[node] = parent
    // What this layer deleted or replaced before must not shine through from below.
    if (existing >= 0) this.#flag(node, IS_OPAQUE)
    this.#link(parent, name, node)
    return node
  }

  #lookup(names: readonly Uint8Array[]): number {
    let node = ROOT
    for (const name of names) {
      const dirent = this.isDirectory(node) ? this.dirents.find(node, name) : -1
      if (dirent < 0) return -1
      node = this.dirents.node[dirent] as number
    }
    return node
  }

  #link(parent: number, name: Uint8Array, node: number): void {
    let dirent = this.dirents.find(parent, name)
    if (dirent < 0) {
      dirent = this.dirents.add(parent, name, this.nodes.children[parent] as number)
      this.nodes.children[parent] = dirent
      this.nodes.childCount[parent] = (this.nodes.childCount[parent] as number) + 1
    }
    this.dirents.node[dirent] = node
  }

  #flag(node: number, flag: number): void {
    this.nodes.flags[node] = (this.nodes.flags[node] as number) | flag
  }

  #setAttributes(node: number, type: number, defaultMode: number, attributes: Attributes): void {
    const { uid = 0, gid = 0, mode = defaultMode } = attributes
    const { seconds, nanoseconds } = attributes.mtime ?? { seconds: 0, nanoseconds: 0 }
    if (!(isU32(uid) && isU32(gid) && Number.isInteger(mode) && mode >= 0 && mode <= 0o7777)) {
      throw new RangeError('mode, uid or gid of an entry')
    }
    if (!Number.isSafeInteger(seconds) || !(nanoseconds >= 0 && nanoseconds < 1e9)) {
      throw new RangeError('modification time of an entry')
    }
    const body = encodeXattrs(attributes.xattrs ?? [])
    if (this.xattrs.length + body.length > this.#limits.xattrs) {
      const found = `above ${this.#limits.xattrs} bytes`
      throw new ErofsError('EROFS_LIMIT', `attributes of an image: ${found}`)
    }
    const nodes = this.nodes
    nodes.mode[node] = type | mode
    nodes.uid[node] = uid
    nodes.gid[node] = gid
    nodes.seconds[node] = seconds
    nodes.nanoseconds[node] = nanoseconds
    nodes.xattrAt[node] = this.xattrs.append(body)
    nodes.xattrLength[node] = body.length
  }
}

function isU32(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 0xffffffff
}

function linkError(path: PathLike, target: PathLike, found: string): ErofsError {
  const message = `linking ${quote(path)}: its target ${quote(target)} ${found}`
  return new ErofsError('EROFS_LINK_TARGET', message)
}
