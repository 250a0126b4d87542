import { toHex } from '#lib/bytes'
import type { CommandInput, Outcome } from '#lib/command'
import { CHUNK_SIZE, SEALED_VERSION } from '#lib/sealed'
import { LayerCommandError } from './layer-command-error.ts'
import { openSealedFile, type SealedFile, wrongLength } from './sealed-file.ts'

/** What `layer inspect --json` prints: the file's own claims, and the root computed over them. */
export interface LayerDocument {
  readonly version: number
  /** Bytes of a chunk. */
  readonly chunkSize: number
  readonly chunks: number
  /** Bytes of the image inside. */
  readonly plainSize: number
  /** Hex. */
  readonly root: string
  /** Hex, 16 bytes. */
  readonly fileId: string
  /** Hex, 32 bytes; absent where the file is no cache entry. */
  readonly layerId?: string
}

/** `layer inspect FILE`: needs no key, proves nothing. */
export async function inspectCommand(input: CommandInput): Promise<Outcome> {
  const [path = ''] = input.operands
  await using file = await openSealedFile(path)
  const document = layerDocument(file, path)
  return { document, text: describeLayer(document) }
}

/** The document of a file. Throws `SEALED_MISMATCH` if its length is not the one its header says. */
export function layerDocument(file: SealedFile, path: string): LayerDocument {
  const found = wrongLength(file)
  if (found !== undefined || file.root === undefined) {
    throw new LayerCommandError('SEALED_MISMATCH', `reading ${path}: ${found ?? 'it was cut'}`, {
      next: 'see enclave-cc layer verify for what is left of it; fetch or seal it again',
    })
  }
  const { header, root } = file
  const cached = header.layerId.some((byte) => byte !== 0)
  return {
    version: SEALED_VERSION,
    chunkSize: CHUNK_SIZE,
    chunks: header.chunkCount,
    plainSize: header.imageLength,
    root: toHex(root),
    fileId: toHex(header.fileId),
    ...(cached ? { layerId: toHex(header.layerId) } : {}),
  }
}

/** The document for people. */
export function describeLayer(document: LayerDocument): string {
  return [
    `version  ${document.version}`,
    `image    ${document.plainSize} bytes in ${document.chunks} chunks of ${document.chunkSize}`,
    `file id  ${document.fileId}`,
    ...(document.layerId === undefined ? [] : [`layer    ${document.layerId}`]),
    `root     ${document.root} (computed from the file; layer verify compares it)`,
  ].join('\n')
}
