import { utf8 } from '#lib/bytes'
import { BytePool } from './byte-pool.ts'
import { emitMetadata, superblock } from './emit.ts'
import { ErofsError } from './erofs-error.ts'
import {
  BLOCK,
  encodeDevice,
  INODE,
  MAX_TAIL,
  MAX_TARGET,
  S_IFBLK,
  S_IFCHR,
  S_IFIFO,
  S_IFLNK,
  S_IFREG,
  S_IFSOCK,
  SUPERBLOCK_OFFSET,
  UUID_LENGTH,
} from './format.ts'
import { ImageOutput, type ImageSink } from './image-output.ts'
import { EROFS_LIMITS, type ErofsLimits } from './limits.ts'
import { TAIL_INLINE } from './nodes.ts'
import { type PathLike, quote } from './path.ts'
import { planImage } from './plan.ts'
import { type Attributes, Tree } from './tree.ts'

/** A file's bytes: at once, or in pieces of any length. */
export type FileContent = Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** What `finish` made. */
export interface ErofsSummary {
  /** Bytes of the image, a multiple of 4096. */
  readonly size: number
  readonly inodes: number
  /**
   * The root hides every layer below. Overlayfs does not look for the mark on a root: whoever
   * mounts must leave the lower layers out.
   */
  readonly opaqueRoot: boolean
}

/**
 * Writes one EROFS image while its entries arrive, in any order: parents after children, a
 * path twice (the last wins), hard links before their targets. Calls are made one after the
 * other, promises awaited. After an error the image is void. Every method throws ErofsError:
 * `EROFS_PATH`, `EROFS_NOT_DIRECTORY` (a parent is something else), `EROFS_LIMIT`, `EROFS_XATTR`.
 */
export interface ErofsWriter {
  /** Adds a directory, or gives an existing one these attributes; '' or '/' is the root. */
  addDirectory(path: PathLike, attributes?: Attributes): void
  /** Adds a file of exactly `size` bytes; `EROFS_SIZE` if `content` gives fewer or more. */
  addFile(path: PathLike, attributes: Attributes, size: number, content: FileContent): Promise<void>
  /** Adds a symlink; the target is stored as it is, 1 to 4095 bytes. */
  addSymlink(path: PathLike, target: PathLike, attributes?: Attributes): Promise<void>
  /** Adds a device; char 0:0 is a whiteout. */
  addDevice(
    path: PathLike,
    kind: 'char' | 'block',
    major: number,
    minor: number,
    attributes?: Attributes,
  ): void
  addFifo(path: PathLike, attributes?: Attributes): void
  addSocket(path: PathLike, attributes?: Attributes): void
  /** Adds a name for another path, which may come later; `EROFS_LINK_TARGET` (at the end) if it never does. */
  addHardlink(path: PathLike, target: PathLike): void
  /** Hides a name of lower layers; an entry of this name in this image wins. */
  addWhiteout(path: PathLike): void
  /** Hides the lower layers' children of a directory. */
  setOpaque(path: PathLike): void
  /** Writes all metadata and the superblock. */
  finish(): Promise<ErofsSummary>
}

/** Options of `createErofsWriter`. */
export interface ErofsWriterOptions {
  readonly sink: ImageSink
  /**
   * 16 bytes that tell the image from others; zeros by default. Overlayfs gives a file that was written, and
   * each of its names, one inode number only where the layer below has a uuid.
   */
  readonly uuid?: Uint8Array
  /** Defaults: docs/formats/erofs.md. */
  readonly limits?: Partial<ErofsLimits>
}

/** A writer of one image. */
export function createErofsWriter(options: ErofsWriterOptions): ErofsWriter {
  const { sink, limits, uuid = new Uint8Array(UUID_LENGTH) } = options
  if (uuid.length !== UUID_LENGTH) throw new RangeError('length of a uuid')
  return new StreamingWriter(sink, { ...EROFS_LIMITS, ...limits }, uuid)
}

class StreamingWriter implements ErofsWriter {
  readonly #out: ImageOutput
  readonly #tree: Tree
  readonly #limits: ErofsLimits
  readonly #uuid: Uint8Array
  readonly #tails = new BytePool()

  constructor(sink: ImageSink, limits: ErofsLimits, uuid: Uint8Array) {
    this.#uuid = uuid
    this.#out = new ImageOutput(sink)
    this.#tree = new Tree(limits)
    this.#limits = limits
  }

  addDirectory(path: PathLike, attributes: Attributes = {}): void {
    this.#tree.addDirectory(path, attributes)
  }

  async addFile(
    path: PathLike,
    attributes: Attributes,
    size: number,
    content: FileContent,
  ): Promise<void> {
    if (!Number.isSafeInteger(size) || size < 0) throw new RangeError('size of a file')
    const node = this.#tree.add(path, S_IFREG, 0o644, attributes)
    await this.#start()
    const { full, tailAt } = this.#layOut(node, size)
    let got = 0
    const take = (piece: Uint8Array): void | Promise<void> => {
      const at = got
      got += piece.length
      if (got > size) throw sizeError(path, size, 'more')
      if (got <= full) return this.#out.append(piece)
      const cut = Math.max(0, full - at)
      this.#tails.bytes.set(piece.subarray(cut), tailAt + Math.max(0, at - full))
      return cut > 0 ? this.#out.append(piece.subarray(0, cut)) : undefined
    }
    if (content instanceof Uint8Array) {
      await take(content)
    } else {
      for await (const piece of content) {
        const taken = take(piece)
        if (taken instanceof Promise) await taken
      }
    }
    if (got !== size) throw sizeError(path, size, `${got}`)
    await this.#out.align(BLOCK)
  }

  async addSymlink(path: PathLike, target: PathLike, attributes: Attributes = {}): Promise<void> {
    const bytes = typeof target === 'string' ? utf8(target) : target
    if (bytes.length === 0 || bytes.includes(0)) {
      throw new ErofsError('EROFS_PATH', `linking ${quote(path)}: the target is empty or has a NUL`)
    }
    if (bytes.length > MAX_TARGET) {
      throw new ErofsError(
        'EROFS_LIMIT',
        `linking ${quote(path)}: the target has ${bytes.length} bytes`,
      )
    }
    const node = this.#tree.add(path, S_IFLNK, 0o777, attributes)
    await this.#start()
    const { full, tailAt } = this.#layOut(node, bytes.length)
    if (full === 0) {
      this.#tails.bytes.set(bytes, tailAt)
    } else {
      await this.#out.append(bytes)
      await this.#out.align(BLOCK)
    }
  }

  addDevice(
    path: PathLike,
    kind: 'char' | 'block',
    major: number,
    minor: number,
    attributes: Attributes = {},
  ): void {
    const rdev = encodeDevice(major, minor)
    const node = this.#tree.add(path, kind === 'char' ? S_IFCHR : S_IFBLK, 0o644, attributes)
    this.#tree.nodes.block[node] = rdev
  }

  addFifo(path: PathLike, attributes: Attributes = {}): void {
    this.#tree.add(path, S_IFIFO, 0o644, attributes)
  }

  addSocket(path: PathLike, attributes: Attributes = {}): void {
    this.#tree.add(path, S_IFSOCK, 0o644, attributes)
  }

  addHardlink(path: PathLike, target: PathLike): void {
    this.#tree.addHardlink(path, target)
  }

  addWhiteout(path: PathLike): void {
    this.#tree.addWhiteout(path)
  }

  setOpaque(path: PathLike): void {
    this.#tree.setOpaque(path)
  }

  async finish(): Promise<ErofsSummary> {
    await this.#start()
    const plan = planImage(this.#tree, this.#out.position / BLOCK)
    await emitMetadata(this.#out, this.#tree, plan, this.#tails.bytes)
    await this.#out.flush()
    const size = this.#out.position
    const inodes = plan.inodes.length
    const head = superblock(inodes, size / BLOCK, plan.metaBlock, this.#uuid)
    await this.#out.rewrite(SUPERBLOCK_OFFSET, head)
    return { size, inodes, opaqueRoot: this.#tree.opaqueRoot }
  }

  /** Reserves block 0 before the first data. */
  #start(): void | Promise<void> {
    return this.#out.position === 0 ? this.#out.append(new Uint8Array(BLOCK)) : undefined
  }

  /** Decides how a node's data is stored: `full` bytes in blocks, the rest in the pool of tails. */
  #layOut(node: number, size: number): { full: number; tailAt: number } {
    const { nodes } = this.#tree
    const tail = size % BLOCK
    const inline =
      tail > 0 &&
      tail <= MAX_TAIL &&
      INODE + (nodes.xattrLength[node] as number) + tail <= BLOCK &&
      this.#tails.length + tail <= this.#limits.tails
    const full = inline ? size - tail : size
    nodes.size[node] = size
    nodes.block[node] = full > 0 ? this.#out.position / BLOCK : 0
    if (!inline) return { full, tailAt: 0 }
    nodes.flags[node] = (nodes.flags[node] as number) | TAIL_INLINE
    const tailAt = this.#tails.reserve(tail)
    nodes.tailAt[node] = tailAt
    return { full, tailAt }
  }
}

function sizeError(path: PathLike, size: number, found: string): ErofsError {
  const message = `adding ${quote(path)}: its content has ${found} bytes, ${size} were announced`
  return new ErofsError('EROFS_SIZE', message)
}
