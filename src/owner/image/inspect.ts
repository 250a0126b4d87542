import { fromUtf8 } from '#lib/bytes'
import { isCoded } from '#lib/errors'
import { parseJson } from '#lib/json'
import {
  type Descriptor,
  formatReference,
  isEncrypted,
  isImageConfigType,
  MAX_MANIFEST_SIZE,
  type Platform,
  parseImageConfig,
} from '#lib/oci'
import { describeRecipients, type Recipient } from '#lib/ocicrypt'
import { signatureTag } from '#lib/signing'
import { type ChosenImage, chooseImage } from './choose.ts'
import { type ImageSource, readBlob, type ServedManifest } from './transport.ts'

/** A layer as the owner's commands show it. */
export interface LayerSummary {
  readonly index: number
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly encrypted: boolean
  readonly recipients: readonly Recipient[]
}

/** A signature that is stored beside an image. It was found, not verified. */
export interface SignatureSummary {
  /** `simple`: cosign's tag scheme; `bundle`: a sigstore bundle among the referrers. */
  readonly scheme: 'simple' | 'bundle'
  /** Digest of the manifest that was signed: the image's, or that of the index above. */
  readonly signs: string
  /** The tag, or the digest of the referring manifest. */
  readonly stored: string
}

/** The document of `image inspect`. */
export interface InspectDocument {
  readonly reference: string
  /** Digest of what the name stands for: of an index, if it is one. */
  readonly digest: string
  readonly mediaType: string
  readonly platform: Platform | null
  /** Digest of the image's own manifest; differs from `digest` below an index. */
  readonly manifestDigest: string
  readonly config: unknown
  readonly layers: readonly LayerSummary[]
  readonly signatures: readonly SignatureSummary[]
}

const PAYLOAD = 'application/vnd.dev.cosign.simplesigning.v1+json'
const BUNDLE = /^application\/vnd\.dev\.sigstore\.bundle[.+]/
const MAX_REFERRERS = 64

/** Reads what can be known of an image without any key. */
export async function inspectImage(
  source: ImageSource,
  wanted: Platform,
): Promise<InspectDocument> {
  const top = await source.top()
  const chosen = await chooseImage(source, top, wanted)
  const { config, platform } = await readConfig(source, chosen)
  const digests = [...new Set([chosen.served.digest, top.digest])]
  return {
    reference: source.reference === undefined ? source.text : formatReference(source.reference),
    digest: top.digest,
    mediaType: top.mediaType,
    platform: platform ?? null,
    manifestDigest: chosen.served.digest,
    config,
    layers: summarizeLayers(chosen.manifest.layers),
    signatures: (await Promise.all(digests.map((one) => findSignatures(source, one)))).flat(),
  }
}

/** Layers for a document, with the recipients that their annotations name. */
export function summarizeLayers(layers: readonly Descriptor[]): LayerSummary[] {
  return layers.map(({ mediaType, digest, size, annotations }, index) => ({
    index,
    mediaType,
    digest,
    size,
    encrypted: isEncrypted(mediaType),
    recipients: isEncrypted(mediaType) ? describeRecipients(annotations ?? {}) : [],
  }))
}

/** Reads the configuration of an image as parsed JSON; of an artifact, null. */
export async function readConfig(
  source: ImageSource,
  chosen: ChosenImage,
): Promise<{ readonly config: unknown; readonly platform: Platform | undefined }> {
  const { config } = chosen.manifest
  if (!isImageConfigType(config.mediaType)) return { config: null, platform: chosen.platform }
  const bytes = await readBlob(source, config, MAX_MANIFEST_SIZE)
  const { os, architecture, variant } = parseImageConfig(bytes)
  const own = { os, architecture, ...(variant === undefined ? {} : { variant }) }
  return {
    config: parseJson(fromUtf8(bytes, 'image configuration')),
    platform: chosen.platform ?? own,
  }
}

/** Looks in both places where signatures of a manifest are kept. */
export async function findSignatures(
  source: ImageSource,
  digest: string,
): Promise<SignatureSummary[]> {
  const found: SignatureSummary[] = []
  const tag = signatureTag(digest)
  const tagged = await source.tagged(tag)
  if (tagged?.manifest.kind === 'manifest') {
    for (const { mediaType } of tagged.manifest.layers) {
      if (mediaType === PAYLOAD) found.push({ scheme: 'simple', signs: digest, stored: tag })
    }
  }
  // Registries list bundles under the type of their empty configuration: each must be opened.
  for (const entry of (await source.referrers(digest)).slice(0, MAX_REFERRERS)) {
    const referrer = await listedOrNothing(source, entry)
    if (referrer?.manifest.kind !== 'manifest') continue
    if (referrer.manifest.layers.some(({ mediaType }) => BUNDLE.test(mediaType))) {
      found.push({ scheme: 'bundle', signs: digest, stored: entry.digest })
    }
  }
  return found
}

// A registry may list what it has not, or what we do not read; the rest still counts.
async function listedOrNothing(
  source: ImageSource,
  entry: Descriptor,
): Promise<ServedManifest | undefined> {
  try {
    return await source.listed(entry)
  } catch (error) {
    if (!isCoded(error) || error.code.startsWith('NETWORK_')) throw error
    return undefined
  }
}
