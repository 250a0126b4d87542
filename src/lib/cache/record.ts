import { createCipheriv, createDecipheriv, randomFillSync } from 'node:crypto'
import { copyOf, equalBytes, FormatError, Reader, Writer } from '#lib/bytes'
import { HEADER_LENGTH, parseHeader } from '#lib/sealed'
import { labelled, type RecordKeys } from './record-keys.ts'

const MAGIC = Uint8Array.of(0x45, 0x43, 0x43, 0x52, 0x45, 0x43, 0x00, 0x01)
const NONCE_LENGTH = 12
const TAG_LENGTH = 16
/** K 32 + root 32 + length of H 4 + H 72 + flags 1. */
const PLAIN_LENGTH: number = 32 + 32 + 4 + HEADER_LENGTH + 1
const OPAQUE_ROOT = 1

/** Bytes of a record: magic 8 + fileId 16 + N 12 + ciphertext 141 + tag 16. */
export const RECORD_LENGTH: number = 8 + 16 + NONCE_LENGTH + PLAIN_LENGTH + TAG_LENGTH

/** What opens a sealed layer that is kept on the node. */
export interface CacheEntry {
  /** K, 32 bytes; whoever gets it wipes it. */
  readonly key: Uint8Array
  /** 32 bytes. */
  readonly root: Uint8Array
  /** `H`, 72 bytes. */
  readonly header: Uint8Array
  /** Layers below this one do not show. */
  readonly opaqueRoot: boolean
}

/** What of a record can be read without a key. */
export interface RecordFrame {
  /** 16 bytes; names the data file, and is proven only by `openRecord`. */
  readonly fileId: Uint8Array
  readonly nonce: Uint8Array
  readonly ciphertext: Uint8Array
  readonly tag: Uint8Array
}

/** Wraps an entry; `random` fills the nonce. */
export function sealRecord(
  keys: Pick<RecordKeys, 'wrappingKey'>,
  layerId: Uint8Array,
  entry: CacheEntry,
  random: (bytes: Uint8Array) => void = (bytes) => void randomFillSync(bytes),
): Uint8Array<ArrayBuffer> {
  const { fileId } = parseHeader(entry.header)
  const plain = new Writer()
    .bytes(entry.key)
    .bytes(entry.root)
    .lengthPrefixed(entry.header)
    .u8(entry.opaqueRoot ? OPAQUE_ROOT : 0)
    .finish()
  try {
    if (plain.length !== PLAIN_LENGTH) throw new RangeError('key and root have 32 bytes')
    const nonce = new Uint8Array(NONCE_LENGTH)
    random(nonce)
    const cipher = createCipheriv('aes-256-gcm', keys.wrappingKey, nonce)
    cipher.setAAD(labelled('ecc/rec/1', layerId))
    const ciphertext = cipher.update(plain)
    cipher.final()
    const frame = new Writer().bytes(MAGIC).bytes(fileId).bytes(nonce)
    return frame.bytes(ciphertext).bytes(cipher.getAuthTag()).finish()
  } finally {
    plain.fill(0)
  }
}

/** Takes a record apart. It proves nothing. Throws FormatError. */
export function parseRecord(bytes: Uint8Array): RecordFrame {
  const r = new Reader(bytes)
  if (!equalBytes(r.bytes(MAGIC.length, 'record magic'), MAGIC)) {
    throw new FormatError('FORMAT_INVALID', 'record magic', 0, 'it is another')
  }
  const fileId = copyOf(r.bytes(16, 'record fileId'))
  const nonce = copyOf(r.bytes(NONCE_LENGTH, 'record nonce'))
  const ciphertext = copyOf(r.bytes(PLAIN_LENGTH, 'record ciphertext'))
  const tag = copyOf(r.bytes(TAG_LENGTH, 'record tag'))
  r.end('record')
  return { fileId, nonce, ciphertext, tag }
}

/**
 * Opens a record of this layer. The caller wipes the key of the result. Throws FormatError or SealedError
 * for whatever was not made for `layerId` with these keys.
 */
export function openRecord(
  keys: Pick<RecordKeys, 'wrappingKey'>,
  layerId: Uint8Array,
  bytes: Uint8Array,
): CacheEntry {
  const { fileId, nonce, ciphertext, tag } = parseRecord(bytes)
  const decipher = createDecipheriv('aes-256-gcm', keys.wrappingKey, nonce, {
    authTagLength: TAG_LENGTH,
  })
  decipher.setAAD(labelled('ecc/rec/1', layerId))
  decipher.setAuthTag(tag)
  const plain = decipher.update(ciphertext)
  try {
    authenticate(decipher)
    const entry = parsePlain(plain)
    const header = parseHeader(entry.header)
    if (!equalBytes(header.fileId, fileId)) throw invalid('record fileId', 'it is not that of H')
    if (!equalBytes(header.layerId, layerId)) throw invalid('record H', 'it is of another layer')
    return { ...entry, key: copyOf(entry.key) }
  } finally {
    plain.fill(0)
  }
}

/** As views, but for what outlives the wiping. */
function parsePlain(plain: Uint8Array): CacheEntry {
  const r = new Reader(plain)
  const key = r.bytes(32, 'record K')
  const root = copyOf(r.bytes(32, 'record root'))
  const header = copyOf(r.lengthPrefixed('record H', HEADER_LENGTH))
  const flags = r.u8('record flags')
  if ((flags & ~OPAQUE_ROOT) !== 0) throw invalid('record flags', 'an unknown one is set')
  r.end('record')
  return { key, root, header, opaqueRoot: flags === OPAQUE_ROOT }
}

function authenticate(decipher: { final(): unknown }): void {
  try {
    decipher.final()
  } catch {
    throw invalid('record', 'it is not genuine')
  }
}

function invalid(field: string, found: string): FormatError {
  return new FormatError('FORMAT_INVALID', field, 0, found)
}
