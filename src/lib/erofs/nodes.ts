import { ErofsError } from './erofs-error.ts'

/** Flag bits of a node. */
export const TAIL_INLINE = 1
/** The directory hides what lies below it in an overlay. */
export const IS_OPAQUE = 2
/** A hard link whose target has not been seen yet. */
export const IS_PENDING = 4

/**
 * Inodes to be, one array a field: as objects 200,000 entries would take 200 MB, as columns
 * they take about 25. A node is its index.
 */
export class Nodes {
  mode: Uint16Array = new Uint16Array(64)
  uid: Uint32Array = new Uint32Array(64)
  gid: Uint32Array = new Uint32Array(64)
  seconds: Float64Array = new Float64Array(64)
  nanoseconds: Uint32Array = new Uint32Array(64)
  size: Float64Array = new Float64Array(64)
  /** Start block, or the device number. */
  block: Uint32Array = new Uint32Array(64)
  /** Where an inline tail starts in the pool of tails. */
  tailAt: Uint32Array = new Uint32Array(64)
  xattrAt: Uint32Array = new Uint32Array(64)
  xattrLength: Uint32Array = new Uint32Array(64)
  flags: Uint8Array = new Uint8Array(64)
  /** Directories: the dirent added last, or -1; after planning, where its entries start in the order. */
  children: Int32Array = new Int32Array(64)
  childCount: Uint32Array = new Uint32Array(64)
  /** Directories: the node of `..`. */
  parent: Uint32Array = new Uint32Array(64)
  nlink: Uint32Array = new Uint32Array(64)
  /** Set by planning. */
  nid: Uint32Array = new Uint32Array(64)
  readonly #limit: number
  #count = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** Nodes so far. */
  get count(): number {
    return this.#count
  }

  /** A new node with all fields zero and no children. Throws `EROFS_LIMIT` above the limit. */
  add(mode: number): number {
    const node = this.#count
    if (node >= this.#limit) {
      throw new ErofsError('EROFS_LIMIT', `writing an image: more than ${this.#limit} entries`)
    }
    if (node === this.mode.length) this.#grow(node * 2)
    this.mode[node] = mode
    this.children[node] = -1
    this.#count++
    return node
  }

  #grow(capacity: number): void {
    this.mode = grown(this.mode, new Uint16Array(capacity))
    this.uid = grown(this.uid, new Uint32Array(capacity))
    this.gid = grown(this.gid, new Uint32Array(capacity))
    this.seconds = grown(this.seconds, new Float64Array(capacity))
    this.nanoseconds = grown(this.nanoseconds, new Uint32Array(capacity))
    this.size = grown(this.size, new Float64Array(capacity))
    this.block = grown(this.block, new Uint32Array(capacity))
    this.tailAt = grown(this.tailAt, new Uint32Array(capacity))
    this.xattrAt = grown(this.xattrAt, new Uint32Array(capacity))
    this.xattrLength = grown(this.xattrLength, new Uint32Array(capacity))
    this.flags = grown(this.flags, new Uint8Array(capacity))
    this.children = grown(this.children, new Int32Array(capacity))
    this.childCount = grown(this.childCount, new Uint32Array(capacity))
    this.parent = grown(this.parent, new Uint32Array(capacity))
    this.nlink = grown(this.nlink, new Uint32Array(capacity))
    this.nid = grown(this.nid, new Uint32Array(capacity))
  }
}

/** Copies a column into a larger one. */
export function grown<T extends Uint8Array | Uint16Array | Uint32Array | Int32Array | Float64Array>(
  from: T,
  to: T,
): T {
  to.set(from)
  return to
}
