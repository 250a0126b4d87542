import { crc32cRaw } from './crc32c.ts'
import { PARENT, SELF } from './dirents.ts'
import {
  BLOCK,
  BLOCK_LOG2,
  DIRENT,
  direntType,
  FEATURE_COMPAT,
  INODE,
  LAYOUT_INLINE,
  LAYOUT_PLAIN,
  MAGIC,
  ROOT_NID,
  S_IFDIR,
  SLOT,
  SUPERBLOCK_OFFSET,
  UUID_OFFSET,
} from './format.ts'
import type { ImageOutput } from './image-output.ts'
import { inlineTail, type Plan } from './plan.ts'
import type { Tree } from './tree.ts'

/** Writes directory blocks, then the metadata area; `tails` are the files' inline tails. */
export async function emitMetadata(
  out: ImageOutput,
  tree: Tree,
  plan: Plan,
  tails: Uint8Array,
): Promise<void> {
  for (const node of plan.inodes) {
    if (tree.isDirectory(node)) {
      const written = emitDirectory(out, tree, plan, node, false)
      if (written instanceof Promise) await written
    }
  }
  const base = plan.metaBlock * BLOCK
  for (const [index, node] of plan.inodes.entries()) {
    const at = base + (tree.nodes.nid[node] as number) * SLOT
    if (at > out.position) await out.append(new Uint8Array(at - out.position))
    const written = emitInode(out, tree, node, index + 1)
    if (written instanceof Promise) await written
    const length = inlineTail(tree, node)
    if (length === 0) continue
    const tailAt = tree.nodes.tailAt[node] as number
    const tail = tree.isDirectory(node)
      ? emitDirectory(out, tree, plan, node, true)
      : out.append(tails.subarray(tailAt, tailAt + length))
    if (tail instanceof Promise) await tail
  }
  await out.align(BLOCK)
}

/** Block 0 without its first 1024 bytes, checksum set. */
export function superblock(
  inodes: number,
  blocks: number,
  metaBlock: number,
  uuid: Uint8Array,
): Uint8Array {
  const bytes = new Uint8Array(BLOCK - SUPERBLOCK_OFFSET)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, MAGIC, true)
  view.setUint32(8, FEATURE_COMPAT, true)
  view.setUint8(12, BLOCK_LOG2)
  view.setUint16(14, ROOT_NID, true)
  view.setBigUint64(16, BigInt(inodes), true)
  view.setUint32(36, blocks, true)
  view.setUint32(40, metaBlock, true)
  bytes.set(uuid, UUID_OFFSET)
  view.setUint32(4, crc32cRaw(bytes), true)
  return bytes
}

function emitInode(out: ImageOutput, tree: Tree, node: number, ino: number): void | Promise<void> {
  const { nodes, xattrs } = tree
  const xattrLength = nodes.xattrLength[node] as number
  const inode = out.record(INODE, (view, at) => {
    const layout = inlineTail(tree, node) > 0 ? LAYOUT_INLINE : LAYOUT_PLAIN
    view.setUint16(at, 1 | (layout << 1), true)
    view.setUint16(at + 2, xattrLength === 0 ? 0 : (xattrLength - 12) / 4 + 1, true)
    view.setUint16(at + 4, nodes.mode[node] as number, true)
    view.setBigUint64(at + 8, BigInt(nodes.size[node] as number), true)
    view.setUint32(at + 16, nodes.block[node] as number, true)
    view.setUint32(at + 20, ino, true)
    view.setUint32(at + 24, nodes.uid[node] as number, true)
    view.setUint32(at + 28, nodes.gid[node] as number, true)
    view.setBigInt64(at + 32, BigInt(nodes.seconds[node] as number), true)
    view.setUint32(at + 40, nodes.nanoseconds[node] as number, true)
    view.setUint32(at + 44, nodes.nlink[node] as number, true)
  })
  if (xattrLength === 0) return inode
  const at = nodes.xattrAt[node] as number
  const append = () => out.append(xattrs.bytes.subarray(at, at + xattrLength))
  return inode instanceof Promise ? inode.then(append) : append()
}

/** The directory's blocks, or (with `tail`) the bytes that stand behind its inode. */
function emitDirectory(
  out: ImageOutput,
  tree: Tree,
  plan: Plan,
  node: number,
  tail: boolean,
): void | Promise<void> {
  const { nodes, dirents } = tree
  const end = (nodes.children[node] as number) + 2 + (nodes.childCount[node] as number)
  const inline = inlineTail(tree, node) > 0
  let from = nodes.children[node] as number
  let last: Promise<void> | undefined
  while (from < end) {
    let to = from
    let used = 0
    while (to < end) {
      const cost = DIRENT + (dirents.nameLength[plan.order[to] as number] as number)
      if (used + cost > BLOCK) break
      used += cost
      to++
    }
    const isTail = inline && to === end
    if (isTail === tail) {
      const [first, count] = [from, to - from]
      const write = () =>
        out.record(isTail ? used : BLOCK, (view, at, bytes) =>
          fillBlock(tree, plan, node, first, count, view, at, bytes),
        )
      const written = last === undefined ? write() : last.then(write)
      if (written instanceof Promise) last = written
    }
    from = to
  }
  return last
}

function fillBlock(
  tree: Tree,
  plan: Plan,
  directory: number,
  first: number,
  count: number,
  view: DataView,
  at: number,
  bytes: Uint8Array,
): void {
  const { nodes, dirents } = tree
  let nameAt = count * DIRENT
  for (let i = 0; i < count; i++) {
    const entry = plan.order[first + i] as number
    const target = targetOf(tree, directory, entry)
    const record = at + i * DIRENT
    view.setBigUint64(record, BigInt(nodes.nid[target] as number), true)
    view.setUint16(record + 8, nameAt, true)
    view.setUint8(record + 10, direntType(nodes.mode[target] ?? S_IFDIR))
    const name = dirents.name(entry)
    bytes.set(name, at + nameAt)
    nameAt += name.length
  }
}

function targetOf(tree: Tree, directory: number, entry: number): number {
  if (entry === SELF) return directory
  if (entry === PARENT) return tree.nodes.parent[directory] as number
  return tree.dirents.node[entry] as number
}
