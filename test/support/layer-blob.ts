import { createCipheriv, createHash, createHmac } from 'node:crypto'
import { type ErofsEntry, memorySource, readErofs } from '#lib/erofs'
import type { UnpackedLayer } from '#lib/layer'
import type { LayerCipher } from '#lib/ocicrypt'
import { openSealed, readSealed, sealedLayout } from '#lib/sealed'

/** `sha256:…` of bytes. */
export function sha256(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

/** Encrypts a blob as ocicrypt does, under a fixed key. */
export function encryptBlob(plain: Uint8Array): { blob: Uint8Array; cipher: LayerCipher } {
  const key = new Uint8Array(32).fill(7)
  const nonce = new Uint8Array(16).fill(0xff)
  const blob = new Uint8Array(createCipheriv('aes-256-ctr', key, nonce).update(plain))
  const hmac = new Uint8Array(createHmac('sha256', key).update(blob).digest())
  return { blob, cipher: { key, nonce, hmac } }
}

/** Bytes as a stream of pieces. */
export async function* pieces(bytes: Uint8Array, size = 10_000): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

/** A file in memory: storage of a spool and sink of a sealed layer. */
export class MemoryFile {
  #store = new Uint8Array(65_536)
  #length = 0

  /** The content so far. */
  get bytes(): Uint8Array {
    return this.#store.subarray(0, this.#length)
  }

  write(offset: number, bytes: Uint8Array): void {
    const end = offset + bytes.length
    if (end > this.#store.length) {
      const grown = new Uint8Array(Math.max(end, this.#store.length * 2))
      grown.set(this.bytes)
      this.#store = grown
    }
    this.#store.set(bytes, offset)
    this.#length = Math.max(this.#length, end)
  }

  read(offset: number, length: number): Uint8Array {
    return this.bytes.slice(offset, offset + length)
  }
}

/** Opens a sealed layer and reads its tree, by path. */
export async function openTree(
  file: MemoryFile,
  layer: UnpackedLayer,
): Promise<Map<string, ErofsEntry>> {
  const tree = new Map<string, ErofsEntry>()
  for (const entry of readErofs(memorySource(await openImage(file, layer)))) {
    tree.set(Buffer.from(entry.path).toString('latin1'), entry)
  }
  return tree
}

/** The bytes of a sealed layer's EROFS image. */
export async function openImage(file: MemoryFile, layer: UnpackedLayer): Promise<Uint8Array> {
  const { tagsOffset } = sealedLayout(layer.header)
  const image = openSealed({
    encodedHeader: layer.encodedHeader,
    root: layer.root,
    key: layer.key,
    tags: file.bytes.slice(tagsOffset),
    fileLength: file.bytes.length,
  })
  return readSealed(image, file, 0, layer.header.imageLength)
}
