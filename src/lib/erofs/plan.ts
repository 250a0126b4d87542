import { PARENT, SELF } from './dirents.ts'
import { BLOCK, DIRENT, INODE, ROOT_NID, SLOT } from './format.ts'
import { IS_OPAQUE, TAIL_INLINE } from './nodes.ts'
import { ROOT, type Tree } from './tree.ts'
import { withOpaque } from './xattr.ts'

/** Where everything goes; made once all names are known. */
export interface Plan {
  /** Nodes in the order of their inodes. */
  readonly inodes: Uint32Array
  /** Dirents of each directory, sorted; a directory's run starts at `nodes.children`. */
  readonly order: Int32Array
  /** First block of the metadata area. */
  readonly metaBlock: number
  /** Bytes used in the metadata area. */
  readonly metaLength: number
}

/**
 * Sorts directories, counts links, sets sizes, blocks and nids in the tree's columns.
 * `firstBlock` is the first block after the data.
 */
export function planImage(tree: Tree, firstBlock: number): Plan {
  const { inodes, order } = walk(tree)
  const { nodes } = tree
  let block = firstBlock
  for (const node of inodes) {
    if (!tree.isDirectory(node)) continue
    if (((nodes.flags[node] as number) & IS_OPAQUE) !== 0) addOpaque(tree, node)
    const size = nodes.size[node] as number
    const tail = size % BLOCK
    const inline = tail > 0 && INODE + (nodes.xattrLength[node] as number) + tail <= BLOCK
    if (inline) nodes.flags[node] = (nodes.flags[node] as number) | TAIL_INLINE
    const blocks = inline ? Math.floor(size / BLOCK) : Math.ceil(size / BLOCK)
    nodes.block[node] = blocks > 0 ? block : 0
    block += blocks
  }
  return { inodes, order, metaBlock: block, metaLength: placeInodes(tree, inodes) }
}

/** Bytes of the tail that stands behind the inode; 0 if none does. */
export function inlineTail(tree: Tree, node: number): number {
  return ((tree.nodes.flags[node] as number) & TAIL_INLINE) !== 0
    ? (tree.nodes.size[node] as number) % BLOCK
    : 0
}

function walk(tree: Tree): { inodes: Uint32Array; order: Int32Array } {
  const { nodes, dirents } = tree
  const inodes = new Uint32Array(nodes.count)
  let inodeCount = 0
  let direntCount = 0
  let order = new Int32Array(dirents.count * 2)
  const stack = [ROOT]
  for (let directory = stack.pop(); directory !== undefined; directory = stack.pop()) {
    inodes[inodeCount++] = directory
    const start = direntCount
    const end = start + 2 + (nodes.childCount[directory] as number)
    if (end > order.length) order = copyInto(order, new Int32Array(Math.max(end, order.length * 2)))
    order[direntCount++] = SELF
    order[direntCount++] = PARENT
    let dirent = nodes.children[directory] as number
    for (; dirent >= 0; dirent = dirents.previous[dirent] as number) order[direntCount++] = dirent
    const entries = order.subarray(start, end).sort((a, b) => dirents.compare(a, b))
    nodes.children[directory] = start
    nodes.size[directory] = directorySize(tree, entries)
    let subdirectories = 0
    for (const entry of entries) {
      if (entry === SELF || entry === PARENT) continue
      const node = tree.settle(entry)
      if (tree.isDirectory(node)) {
        subdirectories++
      } else {
        if (nodes.nlink[node] === 0) inodes[inodeCount++] = node
        nodes.nlink[node] = (nodes.nlink[node] as number) + 1
      }
    }
    nodes.nlink[directory] = 2 + subdirectories
    for (let i = entries.length - 1; subdirectories > 0 && i >= 0; i--) {
      const entry = entries[i] as number
      if (entry === SELF || entry === PARENT) continue
      const node = dirents.node[entry] as number
      if (tree.isDirectory(node)) stack.push(node)
    }
  }
  return { inodes: inodes.subarray(0, inodeCount), order }
}

/** Names alone decide a directory's size: full blocks, then what the last one uses. */
function directorySize(tree: Tree, entries: Int32Array): number {
  let blocks = 0
  let used = 0
  for (const entry of entries) {
    const cost = DIRENT + (tree.dirents.nameLength[entry] as number)
    if (used + cost > BLOCK) {
      blocks++
      used = 0
    }
    used += cost
  }
  return blocks * BLOCK + used
}

function placeInodes(tree: Tree, inodes: Uint32Array): number {
  const { nodes } = tree
  let at = ROOT_NID * SLOT
  let used = at
  for (const node of inodes) {
    const head = INODE + (nodes.xattrLength[node] as number)
    const tail = inlineTail(tree, node)
    // Only the tail must not cross a block; the inode moves up until it does not.
    while (tail > 0 && ((at + head) % BLOCK) + tail > BLOCK) at += SLOT
    nodes.nid[node] = at / SLOT
    used = at + head + tail
    at = Math.ceil(used / SLOT) * SLOT
  }
  return used
}

function addOpaque(tree: Tree, node: number): void {
  const { nodes, xattrs } = tree
  const at = nodes.xattrAt[node] as number
  const body = withOpaque(xattrs.bytes.slice(at, at + (nodes.xattrLength[node] as number)))
  nodes.xattrAt[node] = xattrs.append(body)
  nodes.xattrLength[node] = body.length
}

function copyInto(
  from: Int32Array<ArrayBuffer>,
  to: Int32Array<ArrayBuffer>,
): Int32Array<ArrayBuffer> {
  to.set(from)
  return to
}
