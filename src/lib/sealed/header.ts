import { copyOf, Reader, Writer } from '#lib/bytes'
import { SealedError } from './sealed-error.ts'

const MAGIC = Uint8Array.of(0x45, 0x43, 0x43, 0x53, 0x45, 0x41, 0x4c, 0x00)
/** The one version there is. */
export const SEALED_VERSION = 1
const ALG_AES_256_GCM = 1

/** Bytes of `H`: magic 8 + version 2 + alg 1 + chunkLog2 1 + imageLen 8 + chunkCount 4 + fileId 16 + LID 32. */
export const HEADER_LENGTH = 72

/** Log2 of the one chunk size of version 1: 4 KiB, a page: a random read needs no more (docs/rootfs.md). */
export const CHUNK_LOG2 = 12

/** Largest image in bytes, 256 GiB; its tag table takes 1 GiB. */
export const MAX_IMAGE_LENGTH: number = 2 ** 38

/** `H` of docs/formats/sealed-layer.md. Lengths in bytes. */
export interface SealedHeader {
  readonly imageLength: number
  readonly chunkCount: number
  /** 16 bytes, the associated data of every chunk. */
  readonly fileId: Uint8Array
  /** 32 bytes; zeros where the file is no cache entry. */
  readonly layerId: Uint8Array
}

/** Writes `H`. Throws RangeError for an image length out of range. */
export function encodeHeader(header: SealedHeader): Uint8Array<ArrayBuffer> {
  if (header.fileId.length !== 16 || header.layerId.length !== 32) {
    throw new RangeError('fileId has 16 bytes and layerId 32')
  }
  if (header.chunkCount !== chunkCountOf(header.imageLength)) throw new RangeError('chunkCount')
  return new Writer()
    .bytes(MAGIC)
    .u16be(SEALED_VERSION)
    .u8(ALG_AES_256_GCM)
    .u8(CHUNK_LOG2)
    .u64be(BigInt(header.imageLength))
    .u32be(header.chunkCount)
    .bytes(header.fileId)
    .bytes(header.layerId)
    .finish()
}

/**
 * Parses exactly the 72 bytes of `H`. Throws SealedError `SEALED_FORMAT` for whatever
 * version 1 does not write, and FormatError for a wrong length.
 */
export function parseHeader(bytes: Uint8Array): SealedHeader {
  const r = new Reader(bytes)
  const magic = r.bytes(MAGIC.length, 'sealed magic')
  if (magic.some((byte, at) => byte !== MAGIC[at])) throw refuse('the magic is wrong')
  const version = r.u16be('sealed version')
  if (version !== SEALED_VERSION) throw refuse(`version ${version} is not known`)
  const alg = r.u8('sealed alg')
  if (alg !== ALG_AES_256_GCM) throw refuse(`algorithm ${alg} is not known`)
  const log2 = r.u8('sealed chunkLog2')
  if (log2 !== CHUNK_LOG2) throw refuse(`chunkLog2 ${log2} is not ${CHUNK_LOG2}`)
  const imageLength = r.sizeBe('sealed imageLen', MAX_IMAGE_LENGTH)
  const chunkCount = r.u32be('sealed chunkCount')
  if (imageLength === 0) throw refuse('the image is empty')
  if (chunkCount !== Math.ceil(imageLength / 2 ** log2)) {
    throw refuse(`${chunkCount} chunks do not hold ${imageLength} bytes`)
  }
  const fileId = copyOf(r.bytes(16, 'sealed fileId'))
  const layerId = copyOf(r.bytes(32, 'sealed LID'))
  r.end('sealed header')
  return { imageLength, chunkCount, fileId, layerId }
}

/** Chunks of an image of `imageLength` bytes. Throws RangeError outside 1 to 256 GiB. */
export function chunkCountOf(imageLength: number): number {
  if (!Number.isSafeInteger(imageLength) || imageLength < 1 || imageLength > MAX_IMAGE_LENGTH) {
    throw new RangeError(`an image of ${imageLength} bytes cannot be sealed`)
  }
  return Math.ceil(imageLength / 2 ** CHUNK_LOG2)
}

function refuse(found: string): SealedError {
  return new SealedError('SEALED_FORMAT', `reading a sealed layer header: ${found}`)
}
