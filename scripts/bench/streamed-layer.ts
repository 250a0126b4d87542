// Layers of any size, made as a stream: no machine should need a layer's size in memory to measure that
// an enclave does not.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createWriteStream, renameSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createGzip } from 'node:zlib'
import { editLayout } from '../../test/support/layout-edit.ts'
import { tarEntry } from '../../test/support/tar-builder.ts'

/** Adds a layer, packed with gzip, to the only image of a layout. */
export async function addLayer(layout: string, archive: Iterable<Uint8Array>): Promise<void> {
  const file = join(layout, 'blobs/sha256/layer.new')
  const diffId = createHash('sha256')
  const digest = createHash('sha256')
  const gzip = createGzip({ level: 1 })
  const out = createWriteStream(file)
  gzip.on('data', (bytes: Uint8Array) => digest.update(bytes))
  gzip.pipe(out)
  for (const bytes of archive) {
    diffId.update(bytes)
    if (!gzip.write(bytes)) await once(gzip, 'drain')
  }
  gzip.end()
  await once(out, 'close')
  const name = digest.digest('hex')
  renameSync(file, join(layout, 'blobs/sha256', name))
  const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip'
  editLayout(layout, ({ manifest, config }) => {
    const { size } = statSync(join(layout, 'blobs/sha256', name))
    manifest.layers.push({ mediaType, digest: `sha256:${name}`, size })
    config.rootfs.diff_ids.push(`sha256:${diffId.digest('hex')}`)
  })
}

/**
 * An archive of one file of `size` bytes in which `piece` is repeated. A piece longer than the window of
 * gzip (32 KiB) is compressed again each time as if it were new.
 */
export function* largeFile(
  path: string,
  size: number,
  piece: Uint8Array,
): Generator<Uint8Array, void, undefined> {
  yield tarEntry({ name: path, size: size.toString(8).padStart(11, '0') })
  for (let done = 0; done < size; done += piece.length) {
    yield piece.subarray(0, Math.min(piece.length, size - done))
  }
  yield new Uint8Array(((512 - (size % 512)) % 512) + 1024)
}
