import { createHash } from 'node:crypto'
import {
  type Descriptor,
  isEncrypted,
  isImageConfigType,
  layerType,
  parseImageConfig,
  plainMediaType,
} from '#lib/oci'
import { decryptLayer, openLayer, plainAnnotations, type Unwrapper } from '#lib/ocicrypt'
import { decompressed } from './decompressed.ts'
import type { LayerChange, LayerTransform } from './layer-transform.ts'
import { eachManifest } from './manifests.ts'
import { ProtectError } from './protect-error.ts'
import { type ImageSource, readBlob } from './transport.ts'

const MAX_CONFIG = 4 * 1024 * 1024

/**
 * A transform for `copyImage` that decrypts every encrypted layer. Each decrypted layer is
 * checked against HMAC, noted digest and `diff_id` while it passes; the copy fails, and nothing
 * is committed, if one differs. The diff_id matters most: a public key wraps for anyone, so
 * only the configuration says what the layer should be. Throws `IMAGE_NOT_ENCRYPTED`.
 */
export async function decryptImage(
  source: ImageSource,
  unwrappers: readonly Unwrapper[],
  signal: AbortSignal,
): Promise<LayerTransform> {
  const diffIds = await readDiffIds(source)
  if (diffIds.size === 0) {
    throw new ProtectError(
      'IMAGE_NOT_ENCRYPTED',
      `decrypting ${source.text}: it has no encrypted layer`,
    )
  }
  return async (layer) => {
    if (!isEncrypted(layer.mediaType)) return undefined
    const expected = diffIds.get(layer.digest)
    if (expected === undefined) {
      const message = `decrypting layer ${layer.digest}: the configuration has no diff_id for it`
      throw new ProtectError('FORMAT_INVALID', message)
    }
    const opened = await openLayer(layer.annotations ?? {}, unwrappers, { signal })
    return decryptOne(layer, expected, opened)
  }
}

function decryptOne(
  layer: Descriptor,
  diffId: string,
  { cipher, digest }: Awaited<ReturnType<typeof openLayer>>,
): LayerChange {
  const mediaType = plainMediaType(layer.mediaType)
  const { compression } = layerType(mediaType)
  return {
    content: (ciphertext) =>
      withDiffId(decryptLayer(ciphertext, cipher, digest), compression, diffId),
    finish: async () => {
      const annotations = plainAnnotations(layer.annotations ?? {})
      return { mediaType, ...(Object.keys(annotations).length > 0 ? { annotations } : {}) }
    },
  }
}

async function* withDiffId(
  layer: AsyncIterable<Uint8Array>,
  compression: 'none' | 'gzip' | 'zstd',
  diffId: string,
): AsyncGenerator<Uint8Array> {
  const [algorithm = ''] = diffId.split(':')
  const hash = createHash(algorithm)
  yield* decompressed(layer, compression, (chunk) => hash.update(chunk))
  const found = `${algorithm}:${hash.digest('hex')}`
  if (found !== diffId) {
    throw new ProtectError(
      'OUTPUT_UNVERIFIED',
      `decrypting a layer: its content is ${found}, the configuration says ${diffId}`,
      { next: 'do not use the image: its layer was exchanged' },
    )
  }
}

/** The diff_id of each encrypted layer, by the digest of its ciphertext. */
async function readDiffIds(source: ImageSource): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const { manifest } of eachManifest(source)) {
    if (!manifest.layers.some(({ mediaType }) => isEncrypted(mediaType))) continue
    if (!isImageConfigType(manifest.config.mediaType)) continue
    const config = parseImageConfig(await readBlob(source, manifest.config, MAX_CONFIG))
    manifest.layers.forEach((layer, index) => {
      const diffId = config.rootfs.diffIds[index]
      if (isEncrypted(layer.mediaType) && diffId !== undefined) found.set(layer.digest, diffId)
    })
  }
  return found
}
