import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Part {
  mediaType: string
  digest: string
  size: number
  annotations?: Record<string, string>
}

/** An image of an OCI layout, to be changed in place. */
export interface EditableImage {
  readonly manifest: { config: Part; layers: Part[] }
  /** The image configuration. */
  readonly config: { architecture: string; rootfs: { diff_ids: string[] } }
  /** Bytes of a part. */
  read(part: Part): Buffer
  /** Gives a part other bytes; digest and size follow. */
  replace(part: Part, bytes: Uint8Array): void
}

/**
 * Changes the only image of a layout as an attacker or a broken tool could: digests and sizes are made
 * to fit afterwards, so that only what `edit` broke is broken.
 */
export function editLayout(folder: string, edit: (image: EditableImage) => void): void {
  const blob = (digest: string): string => join(folder, 'blobs', digest.replace(':', '/'))
  const put = (part: { digest: string; size: number }, bytes: Uint8Array): void => {
    part.digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    part.size = bytes.length
    writeFileSync(blob(part.digest), bytes)
  }
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8')) as {
    manifests: Part[]
  }
  const [entry] = index.manifests
  if (entry === undefined) throw new Error(`${folder} has no image`)
  const manifest = JSON.parse(readFileSync(blob(entry.digest), 'utf8')) as EditableImage['manifest']
  const config = JSON.parse(readFileSync(blob(manifest.config.digest), 'utf8'))
  edit({
    manifest,
    config,
    read: (part) => readFileSync(blob(part.digest)),
    replace: put,
  })
  put(manifest.config, Buffer.from(JSON.stringify(config)))
  put(entry, Buffer.from(JSON.stringify(manifest)))
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index))
}
