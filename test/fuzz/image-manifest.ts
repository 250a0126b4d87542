import assert from 'node:assert/strict'
import { utf8 } from '#lib/bytes'
import { digestOf, encodeManifest, isDigest, MEDIA_TYPES, parseManifest } from '#lib/oci'
import type { FuzzTarget } from '../../scripts/fuzz-target.ts'

const descriptor = (mediaType: string, more: object = {}): object => ({
  mediaType,
  digest: digestOf(utf8(mediaType)),
  size: mediaType.length,
  ...more,
})

/** A manifest or index: a typed error, or one kind with digests throughout, that reads the same when written again. */
export const target: FuzzTarget = { format: 'image-manifest', seeds, run: fuzzManifest }

function* seeds(): Generator<Uint8Array> {
  const platform = { os: 'linux', architecture: 'arm', variant: 'v7', 'os.version': '1' }
  for (const mediaType of [MEDIA_TYPES.ociManifest, MEDIA_TYPES.dockerManifest]) {
    yield utf8(
      JSON.stringify({
        schemaVersion: 2,
        mediaType,
        config: descriptor('application/vnd.oci.image.config.v1+json', { data: undefined }),
        layers: [
          descriptor('application/vnd.oci.image.layer.v1.tar+gzip+encrypted', {
            annotations: { 'org.opencontainers.image.enc.pubopts': 'e30=' },
            urls: ['https://mirror.example/blob'],
          }),
        ],
        annotations: { a: 'b' },
      }),
    )
  }
  yield utf8(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MEDIA_TYPES.ociIndex,
      artifactType: 'application/x',
      manifests: [descriptor(MEDIA_TYPES.ociManifest, { platform })],
      subject: descriptor(MEDIA_TYPES.ociManifest),
    }),
  )
}

function fuzzManifest(data: Uint8Array): void {
  const manifest = parseManifest(data, undefined)
  assert.deepEqual(parseManifest(encodeManifest(manifest), manifest.mediaType), manifest)
  const named =
    manifest.kind === 'index' ? manifest.manifests : [manifest.config, ...manifest.layers]
  for (const { digest, size } of named) {
    assert.ok(isDigest(digest) && Number.isSafeInteger(size) && size >= 0)
  }
}
