import { createHash } from 'node:crypto'
import { utf8, Writer } from '#lib/bytes'

/** Grows when the same archive would give another image (`#lib/erofs`, `#lib/layer`). */
const WRITER_VERSION = 1

/** What names a layer, all of it bound by the image's signed manifest. */
export interface LayerIdentity {
  /** Of the blob, `sha256:…`. */
  readonly digest: string
  readonly mediaType: string
  /** Of the decrypted, decompressed archive. */
  readonly diffId: string
  /** Empty for an encrypted layer, the SHA-256 of the init-data for a plain one. */
  readonly scope: Uint8Array
}

/** `LID` of docs/formats/cache-record.md, 32 bytes. */
export function layerId(layer: LayerIdentity): Uint8Array {
  const bytes = new Writer()
    .lengthPrefixed(utf8('ecc/lid/1'))
    .lengthPrefixed(utf8(layer.digest))
    .lengthPrefixed(utf8(layer.mediaType))
    .lengthPrefixed(utf8(layer.diffId))
    .u32be(WRITER_VERSION)
    .lengthPrefixed(layer.scope)
    .finish()
  return new Uint8Array(createHash('sha256').update(bytes).digest())
}
