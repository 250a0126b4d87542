import { copyOf } from '#lib/bytes'
import { crc32cRaw } from './crc32c.ts'
import {
  BLOCK,
  BLOCK_LOG2,
  FEATURE_COMPAT,
  MAGIC,
  ROOT_NID,
  SUPERBLOCK_OFFSET,
  UUID_LENGTH,
  UUID_OFFSET,
} from './format.ts'
import { type ErofsSource, invalid } from './source.ts'

/** The fields of a superblock that vary. */
export interface Superblock {
  readonly rootNid: number
  readonly inodes: number
  /** First block of the metadata area, which reaches to the end of the image. */
  readonly metaBlock: number
  readonly blocks: number
}

/** Parses block 0 and proves that it fits the source: anything the writer leaves zero must be zero. */
export function parseSuperblock(source: ErofsSource): Superblock {
  if (source.size < 2 * BLOCK || source.size % BLOCK !== 0) throw invalid('its length is wrong')
  const superblock = parseFirstBlock(source.read(0, BLOCK))
  if (superblock.blocks !== source.size / BLOCK) throw invalid('its number of blocks is wrong')
  const lead = source.read(superblock.metaBlock * BLOCK, ROOT_NID * 32)
  if (lead.some((byte) => byte !== 0)) throw invalid('bytes stand before the root')
  return superblock
}

/** Bytes that an image has by its own account, from its first 4096. Throws `EROFS_INVALID`. */
export function claimedLength(first: Uint8Array): number {
  if (first.length !== BLOCK) throw invalid('it ends in its first block')
  return parseFirstBlock(first).blocks * BLOCK
}

function parseFirstBlock(first: Uint8Array): Superblock {
  const block = copyOf(first)
  const view = new DataView(block.buffer, SUPERBLOCK_OFFSET)
  const u32 = (at: number): number => view.getUint32(at, true)
  if (u32(0) !== MAGIC) throw invalid('the magic is wrong')
  const checksum = u32(4)
  view.setUint32(4, 0, true)
  if (crc32cRaw(block.subarray(SUPERBLOCK_OFFSET)) !== checksum)
    throw invalid('the checksum is wrong')
  if (u32(8) !== FEATURE_COMPAT || view.getUint8(12) !== BLOCK_LOG2) {
    throw invalid('its features or block size are not ours')
  }
  const rootNid = view.getUint16(14, true)
  const inodes = Number(view.getBigUint64(16, true))
  const blocks = u32(36)
  const metaBlock = u32(40)
  if (rootNid !== ROOT_NID) throw invalid('the root has another place')
  if (metaBlock < 1 || metaBlock >= blocks) throw invalid('the metadata area lies outside')
  view.setUint32(0, 0, true)
  view.setUint32(8, 0, true)
  view.setUint8(12, 0)
  view.setUint16(14, 0, true)
  view.setBigUint64(16, 0n, true)
  view.setBigUint64(36, 0n, true)
  // any uuid: it means nothing to a reader
  block.fill(0, SUPERBLOCK_OFFSET + UUID_OFFSET, SUPERBLOCK_OFFSET + UUID_OFFSET + UUID_LENGTH)
  if (block.some((byte) => byte !== 0)) throw invalid('a reserved byte of block 0 is set')
  return { rootNid, inodes, metaBlock, blocks }
}
