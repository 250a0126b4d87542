import { generateKeyPairSync, sign } from 'node:crypto'
import { toBase64, utf8 } from '#lib/bytes'
import type { Transport } from '#lib/http'
import { digestOf, MEDIA_TYPES, type Reference } from '#lib/oci'
import { PAYLOAD_MEDIA_TYPE, SIGNATURE_ANNOTATION, signatureTag } from '#lib/signing'

/** An image that is nowhere, its registry, and an owner who lets it in. */
export interface RehearsalImage {
  readonly reference: Reference
  /** Answers from memory. */
  readonly registry: Transport
  /** The owner's policy.json. */
  readonly policy: Uint8Array
}

// RFC 2606: nobody's, for ever.
const HOST = 'rehearsal.invalid'
const REPOSITORY = 'nothing'
const TAG = '1'
const LAYER = { mediaType: MEDIA_TYPES.ociLayerGzip, digest: `sha256:${'0'.repeat(64)}`, size: 1 }

interface Stored {
  readonly mediaType: string
  readonly bytes: Uint8Array
}

/** Makes the image and signs it, with a key that nobody keeps. */
export function rehearsalImage(architecture: string): RehearsalImage {
  const stored = new Map<string, Stored>()
  const store = (mediaType: string, value: object): { digest: string; size: number } => {
    const bytes = utf8(JSON.stringify(value))
    const digest = digestOf(bytes)
    stored.set(digest, { mediaType, bytes })
    return { digest, size: bytes.length }
  }
  const manifest = (config: object, layers: readonly object[]): string => {
    const [mediaType, type] = [MEDIA_TYPES.ociManifest, { mediaType: MEDIA_TYPES.ociConfig }]
    const parts = { config: { ...type, ...store(type.mediaType, config) }, layers }
    return store(mediaType, { schemaVersion: 2, mediaType, ...parts }).digest
  }
  const config = {
    os: 'linux',
    architecture,
    config: { Cmd: ['/nothing'] },
    rootfs: { type: 'layers', diff_ids: [LAYER.digest] },
  }
  const digest = manifest(config, [LAYER])
  const payload = {
    critical: {
      identity: { 'docker-reference': `${HOST}/${REPOSITORY}` },
      image: { 'docker-manifest-digest': digest },
      type: 'cosign container image signature',
    },
    optional: null,
  }
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const signature = toBase64(sign('sha256', utf8(JSON.stringify(payload)), privateKey))
  const signed = {
    mediaType: PAYLOAD_MEDIA_TYPE,
    ...store(PAYLOAD_MEDIA_TYPE, payload),
    annotations: { [SIGNATURE_ANNOTATION]: signature },
  }
  const signatures = manifest({ rootfs: { type: 'layers', diff_ids: [] } }, [signed])
  const tags: Readonly<Record<string, string>> = {
    [TAG]: digest,
    [signatureTag(digest)]: signatures,
  }
  const pem = publicKey.export({ type: 'spki', format: 'pem' }) as string
  return {
    reference: { host: HOST, repository: REPOSITORY, tag: TAG },
    registry: async ({ url }) => {
      const name = url.pathname.split('/').at(-1) ?? ''
      return answer(stored.get(tags[name] ?? name))
    },
    policy: utf8(
      JSON.stringify({ default: [{ type: 'sigstoreSigned', keyData: toBase64(utf8(pem)) }] }),
    ),
  }
}

function answer(found: Stored | undefined): Awaited<ReturnType<Transport>> {
  const { mediaType = 'text/plain', bytes = new Uint8Array(0) } = found ?? {}
  return {
    status: found === undefined ? 404 : 200,
    headers: { 'content-type': mediaType, 'content-length': String(bytes.length) },
    body: (async function* () {
      yield bytes
    })(),
  }
}
